//! Near: which verb may be meant by a word that is none?

/// All verbs, with those below others. The first words are what each is also called.
const VERBS: [(&str, &[&str]); 32] = [
    ("doctor", &["diagnose", "status", "health"]),
    ("init", &["setup", "quickstart"]),
    ("keygen", &["genkey", "newkey", "key", "keys"]),
    ("pubkey", &["public", "publickey"]),
    ("mint", &["issue", "grant", "create", "new", "sign"]),
    ("delegate", &["narrow", "attenuate", "restrict"]),
    ("present", &["bearer", "token"]),
    ("inspect", &["show", "decode", "print", "view", "cat"]),
    ("check", &["verify", "decide", "test", "authorize"]),
    ("can", &["may", "tools", "permissions"]),
    ("revoke", &["ban", "stop", "kill"]),
    ("revocations", &["list", "revoked"]),
    ("tree", &["chains", "draw", "lineage"]),
    ("audit", &["log", "logs", "records", "list", "history"]),
    ("audit verify", &["verify"]),
    ("audit prove", &["prove", "proof"]),
    ("audit check-proof", &["proof"]),
    ("audit key", &[]),
    ("policy test", &["test", "verify", "check"]),
    ("policy eval", &["eval", "evaluate", "explain", "try"]),
    ("policy lint", &["lint", "validate"]),
    ("policy replay", &["replay"]),
    ("store create", &["init", "create", "new", "make"]),
    ("store check", &["verify", "list", "show"]),
    ("store backup", &["backup", "copy", "export"]),
    ("store restore", &["restore", "import"]),
    ("store recover", &["recover", "repair", "salvage"]),
    ("store collect", &["collect", "gc", "clean"]),
    ("gateway", &["serve", "server", "proxy", "run", "start"]),
    ("completions", &["complete", "completion"]),
    ("man", &["manual", "manpage"]),
    ("agent", &["client", "sidecar", "holder"]),
];

/// How many letters of a word may be others, missing, too many or in each other's place (optimal string alignment).
const MAX_SLIPS: usize = 2;

/// The most verbs that are named.
const MAX_NAMED: usize = 3;

/// What may be meant, as it is typed: below `parent`, if that was typed first.
pub(crate) fn verbs(word: &str, parent: Option<&str>) -> Vec<&'static str> {
    let distance = |verb: &str, names: &[&str]| {
        let last = verb.rsplit(' ').next().unwrap_or(verb);
        let all = names.iter().copied().chain([last, verb]);
        all.map(|name| strsim::osa_distance(word, name)).min().unwrap_or(usize::MAX)
    };
    let among = VERBS.iter().filter(|(verb, _)| match parent {
        Some(parent) => verb.split_once(' ').is_some_and(|(first, _)| first == parent),
        None => true,
    });
    let mut near: Vec<(usize, &str)> = among
        .map(|(verb, names)| (distance(verb, names), *verb))
        .filter(|(slips, _)| *slips <= MAX_SLIPS.min(word.len() / 3))
        .collect();
    near.sort_by_key(|(slips, _)| *slips);
    near.into_iter().map(|(_, verb)| verb).take(MAX_NAMED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_verb_leads_to_those_that_may_be_meant() {
        assert_eq!(verbs("verfy", None), ["check", "audit verify", "policy test"]);
        assert_eq!(verbs("list", None), ["revocations", "audit", "store check"]);
        assert_eq!(verbs("chekc", None).first(), Some(&"check"));
        assert_eq!(verbs("inspekt", None), ["inspect"]);
        assert_eq!(verbs("verify", Some("policy")), ["policy test"]);
        assert_eq!(verbs("xyzzy", None), Vec::<&str>::new());
        assert_eq!(verbs("", None), Vec::<&str>::new());
    }
}
