use super::*;

#[test]
fn keys_survive_text_and_pem() {
    let key = PrivateKey::generate();
    for text in [key.to_text(), key.to_pem().unwrap()] {
        assert_eq!(text.parse::<PrivateKey>().unwrap().public(), key.public());
    }
    for text in [key.public().to_string(), key.public().to_pem().unwrap()] {
        assert_eq!(text.parse::<PublicKey>().unwrap(), key.public());
    }
}

#[test]
fn biscuit_reads_our_text_form() {
    let key = PrivateKey::generate();
    let theirs: biscuit_auth::PrivateKey = key.to_text().parse().unwrap();
    assert_eq!(theirs.public().to_string(), key.public().to_string());
}

#[test]
fn a_private_key_is_not_shown() {
    let key = PrivateKey::from_bytes(&[7; 32]);
    assert!(!format!("{key:?}").contains(&"07".repeat(32)));
}

#[test]
fn keys_of_small_order_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    for bytes in [identity, [0; 32]] {
        assert!(matches!(PublicKey::from_bytes(&bytes), Err(KeyError::NotAPoint)));
    }
}

#[test]
fn a_key_has_one_encoding() {
    // y = 4 + p encodes the point that y = 4 does.
    let mut two = [0xff; 32];
    (two[0], two[31]) = (0xed + 4, 0x7f);
    let mut one = [0; 32];
    one[0] = 4;
    assert!(VerifyingKey::from_bytes(&one).is_ok() && VerifyingKey::from_bytes(&two).is_ok());
    assert!(PublicKey::from_bytes(&one).is_ok());
    assert!(matches!(PublicKey::from_bytes(&two), Err(KeyError::NotAPoint)));
}

#[test]
fn other_forms_are_refused_by_name() {
    let p256 = "secp256r1/03b6d94743381d3452f11a1aec8d73b0a899827d48be2e4387112e4d2faacfcc29";
    assert!(matches!(p256.parse::<PublicKey>(), Err(KeyError::Algorithm)));
    assert!(matches!("ed25519/abcd".parse::<PublicKey>(), Err(KeyError::PublicText)));
    assert!(matches!("".parse::<PrivateKey>(), Err(KeyError::PrivateText)));
    let private = PrivateKey::generate().to_text();
    assert!(matches!(private.parse::<PublicKey>(), Err(KeyError::PrivateForPublic)));
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    PrivateKey::generate().save(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    PrivateKey::load(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(PrivateKey::load(&path), Err(KeyError::Exposed { mode: 0o640, .. })));
}

#[test]
fn a_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let first = PrivateKey::generate();
    first.save(&path).unwrap();
    assert!(matches!(PrivateKey::generate().save(&path), Err(KeyError::File { .. })));
    assert_eq!(PrivateKey::load(&path).unwrap().public(), first.public());
}

#[test]
fn a_key_id_is_a_hint_and_an_unknown_one_leaves_nothing_to_try() {
    let (old, new) = (PrivateKey::generate().public(), PrivateKey::generate().public());
    let keys = RootKeys::default().and_with_id(1, old).and_with_id(2, new);
    let tried = |hint| keys.candidates(hint).map(|root| root.key).collect::<Vec<_>>();
    assert_eq!(tried(Some(2)), [new]);
    assert_eq!(tried(Some(9)), []);
    assert_eq!(tried(None), []);
    assert_eq!(RootKeys::of(old).and(new).candidates(Some(9)).count(), 2);
}

fn public(text: &str) -> Result<PublicKey, KeyError> {
    text.parse()
}

/// RFC 8410, section 4: a SubjectPublicKeyInfo of these bytes.
fn spki(key: &[u8; 32]) -> String {
    use base64::Engine;
    let der = [&hex::decode("302a300506032b6570032100").unwrap()[..], key].concat();
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

/// Points of order 1, 2, 4 and 8, by which signatures can be made that fit every message.
const SMALL_ORDER: [&str; 5] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
];

#[test]
fn a_key_of_small_order_is_refused_in_every_form() {
    for digits in SMALL_ORDER {
        let bytes: [u8; 32] = hex::decode(digits).unwrap().try_into().unwrap();
        let read = [
            ("bytes", PublicKey::from_bytes(&bytes)),
            ("text", public(&format!("ed25519/{digits}"))),
            ("PEM", public(&spki(&bytes))),
        ];
        for (form, key) in read {
            assert!(matches!(key, Err(KeyError::NotAPoint)), "{digits} passes as {form}");
        }
    }
    let key = PrivateKey::generate().public();
    assert_eq!(public(&spki(&key.to_bytes())).unwrap(), key);
}

#[test]
fn a_second_encoding_is_refused_in_every_form() {
    // y = 4 + p encodes the point that y = 4 does.
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xed + 4, 0x7f);
    for text in [format!("ed25519/{}", hex::encode(bytes)), spki(&bytes)] {
        assert!(matches!(public(&text), Err(KeyError::NotAPoint)), "{text}");
    }
}

#[test]
fn a_y_is_canonical_up_to_the_prime_and_no_further() {
    let y = |low: u8, middle: u8, high: u8| {
        let mut bytes = [middle; 32];
        (bytes[0], bytes[31]) = (low, high);
        bytes
    };
    // The sign of x is in the highest bit and does not count.
    for high in [0x7f, 0xff] {
        assert!(is_canonical(&y(0xec, 0xff, high)), "p - 1");
        assert!(!is_canonical(&y(0xed, 0xff, high)), "p");
        assert!(!is_canonical(&y(0xff, 0xff, high)), "the largest");
        assert!(is_canonical(&y(0xff, 0xfe, high)));
        assert!(is_canonical(&y(0xff, 0xff, high - 1)));
    }
}

#[test]
fn pem_of_another_kind_is_refused() {
    let key = PrivateKey::generate();
    let (private, public_pem) = (key.to_pem().unwrap(), key.public().to_pem().unwrap());
    let refused = public(&private);
    assert!(matches!(refused, Err(KeyError::PrivateForPublic)), "a private key as a public one");
    assert!(matches!(public_pem.parse::<PrivateKey>(), Err(KeyError::PublicForPrivate)));
    // RFC 8410 gives X25519 the object identifier before that of Ed25519.
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD;
    for (pem, label) in [(public_pem.as_str(), "PUBLIC KEY"), (private.as_str(), "PRIVATE KEY")] {
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let mut der = engine.decode(body).unwrap();
        let at = der.windows(3).position(|window| window == [0x2b, 0x65, 0x70]).unwrap();
        der[at + 2] = 0x6e;
        let text = engine.encode(der);
        let pem = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        let (as_public, as_private) = (public(&pem).unwrap_err(), pem.parse::<PrivateKey>());
        let as_private = as_private.unwrap_err();
        match label {
            "PUBLIC KEY" => {
                assert!(matches!(as_public, KeyError::Pem), "{label} of X25519");
                assert!(matches!(as_private, KeyError::PublicForPrivate), "{label} of X25519");
            }
            _ => {
                assert!(matches!(as_public, KeyError::PrivateForPublic), "{label} of X25519");
                assert!(matches!(as_private, KeyError::Pem), "{label} of X25519");
            }
        }
    }
    assert!(matches!(public("-----BEGIN PUBLIC KEY-----"), Err(KeyError::Pem)));
    let rsa = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert!(matches!(public(rsa), Err(KeyError::PrivateForPublic)));
    assert!(matches!(rsa.parse::<PrivateKey>(), Err(KeyError::Pem)));
}

#[test]
fn keys_of_p256_and_of_another_length_are_refused_by_name() {
    let digits = "07".repeat(32);
    let private = |text: String| text.parse::<PrivateKey>();
    assert!(private(format!("ed25519-private/{digits}")).is_ok());
    assert!(private(format!(" ed25519-private/{digits}\n")).is_ok(), "a line of a file");
    let key = PrivateKey::generate().public();
    assert_eq!(public(&format!(" {key}\n")).unwrap(), key, "a line of a file");
    let p256 = private(format!("secp256r1-private/{digits}"));
    assert!(matches!(p256, Err(KeyError::Algorithm)), "a private key of P-256");
    for digits in [&digits[2..], &format!("{digits}07"), &digits.replace("07", "0g")] {
        let key = private(format!("ed25519-private/{digits}"));
        assert!(matches!(key, Err(KeyError::PrivateText)), "{digits}");
        let key = public(&format!("ed25519/{digits}"));
        assert!(matches!(key, Err(KeyError::PublicText)), "{digits}");
    }
}

/// The signature of R = B and S = 1 that the identity as a key "makes" for every message.
#[test]
fn a_signature_that_fits_every_message_is_refused() {
    let key = hex::decode(SMALL_ORDER[0]).unwrap();
    let base = hex::decode("5866666666666666666666666666666666666666666666666666666666666666");
    let mut one = [0; 32];
    one[0] = 1;
    let signature: [u8; 64] = [&base.unwrap()[..], &one].concat().try_into().unwrap();
    let lenient = VerifyingKey::from_bytes(key.as_slice().try_into().unwrap()).unwrap();
    let theirs = ed25519_dalek::Signature::from_bytes(&signature);
    assert!(ed25519_dalek::Verifier::verify(&lenient, b"any", &theirs).is_ok());
    assert!(!verify_strict(&key, b"any", &signature));
    let own = PrivateKey::generate();
    assert!(verify_strict(&own.public().to_bytes(), b"any", &own.sign(b"any")));
    assert!(!verify_strict(&own.public().to_bytes()[1..], b"any", &own.sign(b"any")));
}

#[cfg(unix)]
#[test]
fn a_key_file_is_for_its_owner_whatever_others_may_do_with_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    PrivateKey::generate().save(&path).unwrap();
    for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600 | bit)).unwrap();
        let loaded = PrivateKey::load(&path);
        assert!(
            matches!(loaded, Err(KeyError::Exposed { mode, .. }) if mode == 0o600 | bit),
            "{bit:o}"
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(PrivateKey::load(&path).is_ok(), "{mode:o}");
    }
    let pem = folder.path().join("pem");
    PrivateKey::generate().save_pem(&pem).unwrap();
    assert_eq!(fs::metadata(&pem).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn no_more_is_read_of_a_key_file_than_a_key_can_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = PrivateKey::generate();
    let length = key.to_text().len();
    let most = usize::try_from(MAX_KEY_FILE_BYTES).unwrap();
    for (blanks, held) in [(most - length, true), (most - length + 1, false)] {
        let _ = fs::remove_file(&path);
        save_private(&path, format!("{}{}", " ".repeat(blanks), key.to_text().as_str()).as_bytes())
            .unwrap();
        assert_eq!(PrivateKey::load(&path).is_ok(), held, "{blanks} blanks before the key");
    }
}

#[test]
fn a_root_has_the_name_that_it_was_given_last() {
    let (old, new) = (PrivateKey::generate().public(), PrivateKey::generate().public());
    let keys = RootKeys::of(old).named("old").and(new);
    let names: Vec<_> = keys.candidates(None).map(|root| root.name.clone()).collect();
    assert_eq!(names[0], "old");
    assert!(names[1].starts_with("root-") && names[1].len() == "root-".len() + 16);
    assert!(keys.contains(&old) && !keys.contains(&PrivateKey::generate().public()));
    assert_eq!((keys.len(), keys.is_empty()), (2, false));
    assert!(RootKeys::default().named("nobody").is_empty());
}

#[cfg(unix)]
#[test]
fn whoever_else_can_read_or_write_a_key_file_by_whatever_bit_has_it_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    PrivateKey::generate().save_pem(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for bit in [0o040, 0o020, 0o010, 0o004, 0o002, 0o001] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600 | bit)).unwrap();
        for load in [PrivateKey::load, PrivateKey::load_or_read_pipe] {
            let refused = load(path.as_path()).unwrap_err();
            assert!(matches!(refused, KeyError::Exposed { mode, .. } if mode == 0o600 | bit));
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
        }
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    PrivateKey::load(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn a_key_file_is_a_regular_one_of_a_key_files_size() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = PrivateKey::generate();
    key.save(&path).unwrap();
    let size = usize::try_from(MAX_KEY_FILE_BYTES).unwrap();
    let padded = |size: usize| format!("{:<size$}", key.to_text().as_str());
    fs::write(&path, padded(size)).unwrap();
    assert_eq!(PrivateKey::load(&path).unwrap().public(), key.public());
    fs::write(&path, padded(size + 1)).unwrap();
    let kind = |path: &Path| match PrivateKey::load(path).unwrap_err() {
        KeyError::File { source, path: named } => (named == path).then(|| source.kind()),
        _ => None,
    };
    assert_eq!(kind(&path), Some(io::ErrorKind::FileTooLarge));
    fs::write(&path, b"ed25519-private/\xff").unwrap();
    assert_eq!(kind(&path), Some(io::ErrorKind::InvalidData));
    fs::remove_file(&path).unwrap();
    assert_eq!(kind(&path), Some(io::ErrorKind::NotFound));
    assert!(
        std::process::Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(kind(&path), Some(io::ErrorKind::InvalidInput));
    let writer = std::thread::spawn({
        let (path, text) = (path.clone(), key.to_text());
        move || fs::write(path, text.as_bytes()).unwrap()
    });
    assert_eq!(PrivateKey::load_or_read_pipe(&path).unwrap().public(), key.public());
    writer.join().unwrap();
}

#[cfg(unix)]
#[test]
fn a_group_may_read_a_key_that_is_not_the_readers_own() {
    for (mode, is_own, expected) in [
        (0o600, true, false),
        (0o400, true, false),
        (0o440, true, true),
        (0o640, true, true),
        (0o440, false, false),
        (0o640, false, false),
        (0o400, false, false),
        (0o660, false, true),
        (0o450, false, true),
        (0o444, false, true),
        (0o441, false, true),
        (0o442, false, true),
    ] {
        assert_eq!(is_exposed(mode, is_own), expected, "{mode:o} {is_own}");
    }
}

#[test]
fn what_a_key_is_instead_of_what_it_should_be_is_said() {
    let key = PrivateKey::generate();
    let public = key.public();
    assert!(matches!(key.to_pem().unwrap().parse::<PublicKey>(), Err(KeyError::PrivateForPublic)));
    for text in [public.to_string(), public.to_pem().unwrap()] {
        assert!(matches!(text.parse::<PrivateKey>(), Err(KeyError::PublicForPrivate)), "{text}");
    }
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGb\n-----END ENCRYPTED PRIVATE KEY-----";
    assert!(matches!(encrypted.parse::<PrivateKey>(), Err(KeyError::Encrypted)));
    assert!(matches!(encrypted.parse::<PublicKey>(), Err(KeyError::PrivateForPublic)));
}

#[test]
fn a_clone_of_a_private_key_is_the_same_key_and_wiped_like_it() {
    fn is_wiped<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    let key = PrivateKey::generate();
    let clone = key.clone();
    is_wiped(&clone.0);
    drop(key);
    assert!(verify_strict(&clone.public().to_bytes(), b"message", &clone.sign(b"message")));
}
