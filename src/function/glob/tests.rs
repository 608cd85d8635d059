//! Texts that are of a pattern, that are not, or where readers disagree.

use super::*;

fn is(pattern: &str, text: &str) -> Option<bool> {
    Glob::parse(pattern).unwrap().matches(text).ok()
}

#[test]
fn the_whole_text_is_of_the_pattern() {
    for (pattern, text) in [
        ("report-*.pdf", "report-2026.pdf"),
        ("report-*.pdf", "report-.pdf"),
        ("report-*.pdf", "report-final, really (2).pdf"),
        ("report-*.pdf", "report-100%.pdf"),
        ("report-*.pdf", "report-100\u{ff05}.pdf"),
        ("report-*.pdf", "report-wait\u{2026}\u{3002}.pdf"),
        ("report-*.pdf", "report-\u{645}\u{6cc}\u{200c}\u{62e}.pdf"),
        ("report-*.pdf", "report-\u{1f468}\u{200d}\u{1f469}\u{2764}\u{fe0f}.pdf"),
        ("report-*.pdf", "report-50%20off.pdf"),
        ("report-*.pdf", "report-Stra\u{df}e.pdf"),
        ("report-*.pdf", "report-\u{65e5}\u{672c}.pdf"),
        ("\u{65e5}\u{672c}*", "\u{65e5}\u{672c}.pdf"),
        ("*.PDF", "A.PDF"),
        ("*", ""),
        ("?.txt", "x.txt"),
        ("\u{fc}?.txt", "\u{fc}\u{df}.txt"),
        ("\u{65e5}?.txt", "\u{65e5}\u{672c}.txt"),
        ("\u{d55c}?.txt", "\u{d55c}\u{d55c}.txt"),
        ("*.pdf", "Jahres\u{fc}bersicht \u{e9} \u{fc} \u{df}.pdf"),
        ("*.pdf", "Jahresu\u{308}bersicht.pdf"),
        ("*.pdf", "AT&T.pdf"),
        ("*.pdf", "Q & A.pdf"),
        ("*.pdf", "A > B.pdf"),
        ("AT&T*", "AT&T.pdf"),
        ("*.pdf", "C++ notes.pdf"),
        ("C++*", "C++ notes.pdf"),
        ("C++", "C++"),
        ("*.pdf", "1+1.pdf"),
        ("*.txt", "O'Neil \"draft\".txt"),
        ("*.txt", "100%.txt"),
        ("*.pdf", "\u{65e5}\u{672c}.pdf"),
        ("*.pdf", "\u{62a}\u{642}\u{631}\u{64a}\u{631}.pdf"),
        ("*.pdf", "\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}.pdf"),
        ("*.pdf", "\u{2460} \u{1f600}.pdf"),
        ("*", "\u{65e5}\u{672c}"),
        ("docs/*", "docs/\u{65e5}\u{672c}"),
        ("docs/**", "docs/\u{65e5}\u{672c}"),
        ("docs/*/x.pdf", "docs/\u{65e5}\u{672c}/x.pdf"),
        ("**/*.pdf", "\u{65e5}\u{672c}/x.pdf"),
        ("\u{65e5}\u{672c}/*.pdf", "\u{65e5}\u{672c}/x.pdf"),
        ("src/**", "src/aux.c"),
        ("**/passwd", "\"/etc/passwd"),
        ("12:*", "12:30"),
        ("a\"b\"*", "a\"b\".txt"),
        ("/srv/*/x", "/srv/a/x"),
        ("/srv/**/x", "/srv/a/b/c/x"),
        ("**", "/anything/at all"),
        ("**/x", "/x"),
        ("docs/", "docs/"),
        ("a*b*c", "aXbXbc"),
        ("*Inc.", "Acme Inc."),
        ("Re: *", "Re: 12:30"),
        ("tools:call:*", "tools:call:search"),
        ("my%20*", "my%20file"),
        ("A~1*", "A~1.txt"),
        ("a'*'", "a'b'"),
    ] {
        assert_eq!(is(pattern, text), Some(true), "{pattern} {text}");
    }
    for (pattern, text) in [
        ("report-*.pdf", "my report-1.pdf"),
        ("report-*.pdf", "report-1.pdf.exe"),
        ("report-*.pdf", "report-a/b.pdf"),
        ("?.txt", ".txt"),
        ("?.txt", "/.txt"),
        ("?.txt", "ab.txt"),
        ("??.txt", "a.txt"),
        ("/srv/*/x", "/srv/a/b/x"),
        ("abc", "ab"),
        ("abc", "abcd"),
        ("r\u{435}port", "report"),
        ("**.exe", "b.txt"),
        ("**.exe", "b.exe.txt"),
        ("my%20*", "my file"),
        ("\u{65e5}\u{8a9e}", "\u{65e5}\u{672c}\u{8a9e}"),
        ("**.exe", "AT&T.txt"),
        ("**.exe", "con.txt"),
        ("**.exe", "e\u{301}.txt"),
        ("**.exe", "\u{65e5}\u{672c}\u{2460}"),
        ("C++*", "C  notes"),
    ] {
        assert_eq!(is(pattern, text), Some(false), "{pattern} {text}");
    }
}

/// What Windows, macOS, servers and libraries open as a file that the pattern has, and the text has not.
#[test]
fn a_pattern_that_denies_is_not_got_around() {
    for text in [
        "b.exe.",
        "b.exe..",
        "b.exe ",
        "b.exe . ",
        "b.exe\u{a0}",
        "b.exe\u{3000}",
        "b.exe:x",
        "b.exe::$DATA",
        "b.exe;v=1",
        "b.exe?x",
        "b.exe#x",
        "b.exe%",
        "b.exe/",
        "b.exe./",
        "b.exe/;x",
        "a/b.exe.",
        "b.EXE",
        "b.Exe:x",
        "b:x.EXE",
        "b.e\u{17f}e",
        "b.\u{ff45}xe",
        "b.\u{e9}xe",
        "b.e\u{301}xe",
        "b.exe\u{65e5}",
        "b.ex'e'",
        "b.e:xe",
        "b.ex?e",
        "\"b.exe\"",
        "b.ex%65",
        "b%2eexe",
        "b.exe%20",
        "b.exe%3ax",
        "b.ex%45",
        "b.ex%C3%A9",
        "B~1.EXE",
        "b\u{ff0e}exe",
        "b\u{3002}exe",
        "b.exe\u{3002}",
        "b.exe\u{ff05}",
        "b.exe. \u{65e5}",
        "b.exe\u{3002}\u{65e5}",
        "'b.exe. '",
        "x:b.exe.",
        "x:b.exe;y",
        "b.exe\u{2460}",
        "b.\u{2460}exe",
        "b.exe\u{fb01}",
        "b.exe\u{1f600}",
        "b.exee\u{301}",
        "b.exee\u{301}\u{302}",
        "b.exe=\u{338}",
        "b.e\u{301}exe",
        "b.exe\u{bc}",
        "b.exe&x",
        "b.exe &x",
        "b.exe.&x",
        "b.exe\u{ff06}x",
        "b.exe|x",
        "b.exe>x",
        "b.exe<x",
        "b.exe%26x",
        "b.exe+",
        "b.exe.+",
        "b.exe+;x",
        "b.exe%2B",
        "b.exe/''",
        "b.exe/;x/\u{65e5}",
        "b.exe;x;y",
        "b.exe:x;y",
        "b.ex%2565",
        "b.ex%u0065",
        "b.ex\u{ff05}65",
        "b.exe%00",
        "B~1.EXE:x",
        "B~1.EXE.",
        "B~1.EXE ",
        "'B~1.EXE'",
        "B~1\u{65e5}.EXE",
        "B\u{ff5e}1.EXE",
        "A/B~1.EXE",
        "1:b.exe.",
        "\u{65e5}:b.exe.",
    ] {
        let sharp = text.contains('\u{17f}');
        let pattern = if sharp { "**.ese" } else { "**.exe" };
        assert_eq!(is(pattern, text), None, "{text:?}");
    }
    for (pattern, text) in [
        ("secret*", "C:secret.txt"),
        ("secret*", "/secret.txt"),
        ("secret*", " secret.txt"),
        ("/secret*", "secret.txt"),
        ("**/secret", "secret"),
        ("**/secret", "secret/"),
        ("a/b*", "a/;x/b.txt"),
        ("a/b*", "a/ /b.txt"),
        ("a/b", "a/b/"),
        ("a/b/", "a/b"),
        ("private/**", "private./x"),
        ("private/**", "PRIVAT~1/x"),
        ("private/**", "private:x/y"),
        ("C:/**.exe", "C:/b.exe:x"),
        ("stra\u{df}e*", "STRASSE.txt"),
        ("i*", "\u{130}.txt"),
        ("i*", "\u{131}.txt"),
        ("k*", "\u{212a}.txt"),
        ("zo\u{eb}*", "zoe\u{308}.txt"),
        ("*Inc.", "Acme Inc"),
        ("secret*", "\"/secret.txt"),
        ("secret*", "''/secret.txt"),
        ("secret*", "\u{65e5}/secret.txt"),
        ("secret*", "1:secret.txt"),
        ("secret*", "'C':secret.txt"),
        ("secret*", "C: secret.txt"),
        ("secret*", "C:/secret.txt"),
        ("secret*", "+secret.txt"),
        ("private/**", "\u{65e5}/private/x"),
        ("private/**", "private/+"),
        ("a/b*", "a/\u{65e5}/b.txt"),
        ("docs/*", "docs/\u{65e5}\u{672c}/x"),
        ("a/b*", "a/''/b.txt"),
        ("my file*", "my+file.txt"),
        ("my file*", "my%2Bfile.txt"),
        ("nul", "NUL.txt"),
        ("nul", "NUL .txt"),
        ("nul", "'NUL'.txt"),
        ("com1", "COM\u{b9}.txt"),
        ("com", "COM\u{b9}"),
        ("zo\u{eb}*.exe", "zo\u{eb}.exe\u{2460}"),
        ("zo\u{eb}*.exe", "zo\u{eb}.exex\u{306}"),
        ("\u{65e5}.exe", "\u{65e5}.exe\u{1f600}"),
        ("AT&T", "AT&T&x"),
        ("a;b.exe", "a;b.exe;c"),
    ] {
        assert_eq!(is(pattern, text), None, "{pattern} {text:?}");
    }
}

#[test]
fn a_pattern_that_allows_lets_no_name_through_that_is_another_when_it_is_cut() {
    for (pattern, text) in [
        ("report-*.pdf", "report-x.exe:.pdf"),
        ("report-*.pdf", "report-x.exe;.pdf"),
        ("report-*.pdf", "report-x.exe?.pdf"),
        ("report-*.pdf", "report-x.exe#.pdf"),
        ("report-*.pdf", "report-x.exe\u{ff1a}.pdf"),
        ("report-*.pdf", "report-x.exe%3a.pdf"),
        ("report-*.pdf", "report-x.exe%23.pdf"),
        ("*:*.pdf", "a:x.exe:.pdf"),
        ("*.txt", "C:a.txt"),
        ("*/x.txt", "a:b/c/../x.txt"),
        ("*.*", "a."),
        ("* ", "a. "),
        ("??", "e\u{301}"),
        ("*.pdf", "REPORT~1.pdf"),
        ("docs/*/x", "docs/;a/x"),
        ("docs/*", "docs/."),
        ("docs/?*", "docs/;x"),
        ("?.txt", "\u{fc}.txt"),
        ("?.txt", "\u{df}.txt"),
        ("?.txt", "\u{65e5}.txt"),
        ("?.txt", "\u{d55c}.txt"),
        ("?.txt", "'.txt"),
        ("a?.txt", "a\u{2460}.txt"),
        ("\u{fc}?.txt", "\u{fc}\u{65e5}.txt"),
        ("?.txt", "e\u{301}.txt"),
        ("*/*/passwd", "\"/etc/passwd"),
        ("*/*/passwd", "'/etc/passwd"),
        ("*/*/passwd", "/etc/passwd"),
        ("*/*/passwd", "\u{65e5}/etc/passwd"),
        ("*/*/passwd", "\u{e9}/etc/passwd"),
        ("*/*/passwd", "e\u{301}/etc/passwd"),
        ("*/*/passwd", "+/etc/passwd"),
        ("*/*/passwd", "%/etc/passwd"),
        ("docs/*/x", "docs/''/x"),
        ("docs/*/x", "docs/|/x"),
        ("docs/*/x", "docs/+/x"),
        ("docs/*", "docs/''"),
        ("docs/*", "docs/+"),
        ("*.*", "a.\""),
        ("*.*", "a.+"),
        ("*.*", "a.\u{65e5}"),
        ("*.*", "a. \u{65e5}"),
        ("*.txt", "NUL.txt"),
        ("*.txt", "con.txt"),
        ("**.txt", "a/Com1.txt"),
        ("*.txt", "COM\u{b9}.txt"),
        ("*.txt", "LPT9 .txt"),
        ("*.txt", "'aux'.txt"),
        ("*.txt", "prn\u{2460}.txt"),
        ("*.txt", "CONIN$.txt"),
        ("report-*.pdf", "report-x.exe&.pdf"),
        ("report-*.pdf", "report-x.exe|.pdf"),
        ("report-*.pdf", "report-x.exe>.pdf"),
        ("report-*.pdf", "report-x.exe<.pdf"),
        ("report-*.pdf", "report-x.e'xe&.pdf"),
        ("report-*.pdf", "report-x.exe%26.pdf"),
        ("report-*.pdf", "report-x.exe\u{ff06}.pdf"),
    ] {
        let found = is(pattern, text);
        assert_eq!(found, if pattern == "* " { Some(true) } else { None }, "{pattern} {text:?}");
    }
}

#[test]
fn what_readers_take_differently_cannot_be_judged() {
    for text in [
        "/srv/../etc/x",
        "//etc/x",
        "report-..%2f..%2fx",
        "/a/%2e%2e/x",
        "/a/..\u{a0}/x",
        "..",
        "a\0.pdf",
        "a\\b",
        "a\u{202e}b",
        "a\u{ad}b",
        "a\u{200b}b",
        "a\u{ff0f}b",
        ".. /x",
        "/a/..%20/x",
        "/a/%20../x",
        "/a/..,/x",
        "/a/..%2c/x",
        "/a/..\u{ff1b}/x",
        "/a/..\u{65e5}/x",
        "/a/\u{ff05}2e/x",
        "50%/x",
        "50%of",
        "%.x",
        "5% of 6%",
        "50\u{ff05}of",
        "50\u{ff05}/x",
        "a%2fb",
        "a//b",
        "..+/x",
        "+../x",
        "..&/x",
        "..e\u{301}/x",
        "a;..|x",
    ] {
        assert_eq!(is("**?", text), None, "{text:?}");
    }
}

#[test]
fn whatever_is_to_be_seen_is_of_the_pattern_of_all() {
    for text in ["", "a\\b", "https://a.b/../c", "50% off;x:y\u{2026}", "A ", "\u{3002}", "X~1"] {
        assert_eq!(is("**", text), Some(true), "{text:?}");
    }
    for text in ["a\0", "a\nb", "a\tb", "a\u{202e}b", "a\u{200b}", "a\u{ad}", "\u{feff}"] {
        assert_eq!(is("**", text), None, "{text:?}");
    }
}

#[test]
fn a_pattern_says_what_every_reader_takes_it_for() {
    for pattern in ["", "[a-z]", "{a,b}", "a\\*", "!a", "***", "https://*.example.com/*"] {
        assert!(Glob::parse(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn many_stars_take_no_more_than_their_product() {
    let pattern = "*a".repeat(120);
    let glob = Glob::parse(&pattern).unwrap();
    assert_eq!(glob.matches(&"a".repeat(4000)), Ok(true));
    assert_eq!(glob.matches(&format!("{}b", "a".repeat(4000))), Ok(false));
}
