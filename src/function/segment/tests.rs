//! Names for every reader, and what some reader empties, takes for a step or for another name.

use super::*;

#[test]
fn a_name_is_a_name_for_every_reader() {
    for name in [
        "a",
        "my file.txt",
        "a;b.txt",
        "a,b",
        "12:30.txt",
        ".git",
        "..data",
        "a..",
        "Acme Inc.",
        " a",
        "a ",
        "-",
        "_",
        "~",
        "@me",
        "(1)",
        "$x",
        "report, final.pdf",
        "\u{65e5}\u{672c}",
        "\u{65e5}\u{672c}.txt",
        "e\u{301}",
        "Zo\u{eb}",
        "a\u{ff1b}b",
        "a\u{a0}b",
        "'a'",
        "a:b:c",
        "x=1;y=2",
        "\u{65e5}\u{672c}\u{3002}",
        "1\u{ff0e}\u{6982}\u{8981}",
        "wait\u{2026}",
        "\u{2026}and more",
        "\u{1f468}\u{200d}\u{1f469}",
        "\u{645}\u{6cc}\u{200c}\u{62e}",
    ] {
        assert!(is_name(name), "{name:?}");
    }
}

#[test]
fn what_a_reader_empties_is_no_name() {
    for segment in [
        "",
        " ",
        "  ",
        "\u{a0}",
        "\u{3000}",
        "\u{2003}",
        ";",
        ";a",
        ";..",
        ",",
        ",a",
        ":",
        ":a",
        "::$DATA",
        "#",
        "#a",
        "?",
        "?a",
        " ;a",
        "\u{ff1b}a",
        "\u{ff0c}a",
        "\u{ff1a}a",
        "\u{37e}a",
        "\u{fe54}a",
        "\u{fe50}a",
        "''",
        "\" \"",
        "`",
        "\u{301}",
        "\u{20dd}",
        " \u{301}",
        "\u{a8}",
        "\u{2000}\u{301};a",
    ] {
        assert!(!is_name(segment), "{segment:?}");
    }
}

#[test]
fn what_a_reader_turns_into_a_step_is_no_name() {
    for segment in [
        ".",
        "..",
        "...",
        ".. ",
        " ..",
        "..\u{a0}",
        "\u{3000}..",
        ". .",
        "..;",
        "..;a",
        "..,",
        "..,a",
        "..:",
        "..::$DATA",
        "..#",
        "..?",
        "'..'",
        "\"..\"",
        "` ..`",
        "..\u{ff1b}",
        "..\u{ff0c}a",
        "..\u{ff1a}a",
        "\u{2025}",
        "\u{ff0e}.",
        "\u{2024}\u{2024}",
        "..\u{65e5}",
        ".\u{65e5}.",
        "\u{65e5}..",
        "..\u{301}",
        "a;..",
        "a:..",
        "a, ..",
        "a;..;b",
        "\u{e9}..",
        "..\u{e9}",
        ".\u{e9}.",
        "..\u{f1}\u{e9}",
        "..|",
        "..*",
        "<..>",
        ".'.",
        ".%.",
        ".:.",
        ".?.",
        "\u{3002}\u{3002}",
        ".\u{ff61}",
        "\u{2026}",
        "\u{ff0e}\u{ff0e}",
        "..\u{3002}\u{65e5}",
        "a;\u{3002}\u{3002}",
        ".\u{200d}.",
        "..\u{200c}",
    ] {
        assert!(!is_name(segment), "{segment:?}");
    }
}

#[test]
fn no_sign_of_structure_comes_out_of_another_character() {
    for segment in [
        "a\u{ff0f}b",
        "a\u{ff3c}b",
        "a\u{fe68}b",
        "a\u{2488}",
        "a\u{2100}b",
        "\u{bd}a",
        "\u{33c2}",
        "a\u{fe52}b",
    ] {
        assert!(!is_name(segment), "{segment:?}");
        assert!(may_step(segment), "{segment:?}");
    }
}

#[test]
fn some_reader_finds_a_name_in_another_spelling_of_it() {
    for segment in [
        "'private'",
        "pri`vate",
        "\"private",
        "pr\u{ed}vate",
        "pri\u{301}vate",
        "private\u{20e3}",
        "private\u{65e5}",
        "\u{65e5}private",
        "priv\u{a0}ate",
        "private*",
        "private.",
        "private ",
        "private;x",
        "private:x",
        "\u{ff50}rivate",
        "priv:ate",
        "priv?ate",
        "private%",
        "private\u{3002}",
        "private\u{2026}",
        "priv\u{200d}ate",
        "private..\u{65e5}",
        "private...|",
        "private \u{a8}",
        "PRIVAT~1",
        "PRIVAT~1.X",
    ] {
        assert!(may_be(segment, "private"), "{segment:?}");
    }
    for segment in
        ["privat", "private2", "pri-vate", "public", "Private", "private~x", "a.b~1", "~1"]
    {
        assert!(!may_be(segment, "private"), "{segment:?}");
    }
    assert!(!may_be("\u{6771}\u{4eac}", "\u{65e5}\u{672c}"), "names in another script");
}

#[test]
fn a_name_that_grows_beyond_measure_is_none() {
    assert!(is_name(&"\u{d55c}".repeat(50)));
    assert!(!is_name(&"\u{fdfa}".repeat(50)));
}

#[test]
fn a_drive_is_a_letter_and_a_colon() {
    for segment in [
        "C:",
        "c:x",
        "z:..",
        "C:\u{e9}",
        "\u{fb01}:x",
        "\u{3002}c:x",
        "\u{e9}\u{3002}\u{65e5}:x",
        "1:",
        "+:x",
        ":C",
        "\u{e9}:",
        "e\u{301}:x",
        "a\u{ff1a}x",
        "\u{65e5}\u{672c}c:x",
        "\u{65e5}\u{672c}:x",
        "`c:",
        "'c' :x",
        "*c:x",
    ] {
        assert!(is_drive(segment), "{segment}");
    }
    for segment in ["C", "CC:", "12:30", "a;b", "", "\u{65e5}\u{672c}", "\u{65e5}cc:x"] {
        assert!(!is_drive(segment), "{segment}");
    }
}

#[test]
fn a_syllable_is_taken_apart_as_unicode_has_it() {
    let normal = DecomposingNormalizerBorrowed::new_nfd();
    for c in '\u{ac00}'..='\u{d7a3}' {
        let parts: String = parts_of_hangul(c).unwrap().into_iter().flatten().collect();
        assert_eq!(parts, normal.normalize(c.encode_utf8(&mut [0; 4])), "{c}");
        assert!(parts.chars().all(|part| is_of_hangul(part) && !is_mark(part)), "{c}");
    }
    assert_eq!(parts_of_hangul('\u{abff}'), None);
    assert_eq!(parts_of_hangul('\u{d7a4}'), None);
}

#[test]
fn a_step_is_found_behind_what_windows_refuses_and_behind_a_drive() {
    for segment in ["?..", "\"?..\"", "|..", "C:..", "C:..;x", "..e\u{301}", ".+."] {
        assert!(may_step(segment), "{segment:?}");
    }
    for segment in ["?.a", "CC:..a", ".e\u{301}", "AT&T", "C++"] {
        assert!(!may_step(segment), "{segment:?}");
    }
}
