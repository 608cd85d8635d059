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
