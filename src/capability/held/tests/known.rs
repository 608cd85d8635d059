//! What is known of a token's signatures, of whom, and since when.

use super::*;

/// The token with one bit of this signature turned, read anew.
fn damaged(capability: &Capability, block: usize) -> Capability {
    let mut biscuit = capability.shaped().biscuit.clone();
    biscuit.blocks[block - 1].signature[5] ^= 1;
    Capability::from_bytes(&biscuit.encode_to_vec()).unwrap()
}

fn next_hop() -> Delegation {
    Delegation::to("agent.next").scope("tools:call:search").reason("r").holder(key(50).public())
}

#[test]
fn nothing_is_known_of_a_token_that_was_only_read_whoever_knew_it_before() {
    let parent = deep(3);
    assert!(parent.hop(next_hop()).0.signatures.get().is_some_and(Result::is_ok));
    let again = Capability::parse(&parent.0.to_base64()).unwrap();
    assert_eq!(again.0.signatures.get(), None);
    assert!(again.0.next.get().is_none());
    // To look at it is no check, and sealing it is none.
    assert_eq!((again.chain().depth(), again.is_sealed()), (3, false));
    let sealed = again.sealed().unwrap();
    assert_eq!((again.0.signatures.get(), sealed.0.signatures.get()), (None, None));
    assert_eq!(sealed.first_damaged_block(), None);
}

#[test]
fn a_damaged_token_is_refused_each_time_and_by_each_clone() {
    let parent = deep(3);
    // What is made of the whole one changes nothing about the other.
    parent.hop(next_hop());
    for block in 1..=3 {
        let damaged = damaged(&parent.0, block);
        let before = damaged.clone();
        let expected = HolderError::Signature { block };
        for token in [&damaged, &before, &damaged.clone()] {
            for _ in 0..2 {
                let error = token.delegate(next_hop(), parent.key().unwrap(), NOW).unwrap_err();
                assert_eq!(error, DelegateError::Holder(expected.clone()));
                let presented =
                    token.present(Presenting::to("notion.mcp"), parent.key().unwrap(), NOW);
                assert_eq!(presented.unwrap_err().cause(), Cause::Signature);
            }
            assert_eq!(token.first_damaged_block(), Some(block));
        }
        // Sealed by somebody who looked first: that its signatures do not hold is not forgotten.
        assert_eq!(damaged.sealed().unwrap().first_damaged_block(), Some(block));
        // A block appended past the holder's own check makes it no better.
        let child = damaged.append(&good(&damaged.0), parent.key()).unwrap();
        assert_eq!(child.first_damaged_block(), Some(block));
        assert!(child.delegate(next_hop(), &key(50), NOW).is_err());
    }
}

#[test]
fn the_secret_of_another_token_signs_nothing() {
    let parent = deep(2);
    let mut biscuit = parent.0.shaped().biscuit.clone();
    biscuit.proof = deep(3).0.shaped().biscuit.proof.clone();
    let wrong = Capability::from_bytes(&biscuit.encode_to_vec()).unwrap();
    for _ in 0..2 {
        let error = wrong.delegate(next_hop(), parent.key().unwrap(), NOW).unwrap_err();
        assert_eq!(error, DelegateError::Holder(HolderError::Signature { block: 2 }));
        let sealed = wrong.sealed().unwrap_err();
        assert_eq!(sealed, AppendError::Signing(SigningError::WrongSecret));
        let appended = wrong.append(&good(&wrong.0), parent.key()).unwrap_err();
        assert_eq!(appended, AppendError::Signing(SigningError::WrongSecret));
    }
}

#[test]
fn a_third_partys_block_pasted_in_is_refused_by_whoever_holds_the_token() {
    let (parent, other) = (deep(2), deep(2));
    let mut biscuit = parent.0.shaped().biscuit.clone();
    biscuit.blocks[1] = other.0.shaped().biscuit.blocks[1].clone();
    biscuit.proof = other.0.shaped().biscuit.proof.clone();
    let spliced = Capability::from_bytes(&biscuit.encode_to_vec());
    // Both parents' blocks say the same of who signed them, or the gate refuses.
    let spliced = spliced.expect("the same words by the same keys");
    let error = spliced.delegate(next_hop(), parent.key().unwrap(), NOW).unwrap_err();
    assert_eq!(error, DelegateError::Holder(HolderError::Signature { block: 2 }));
}

#[test]
fn only_the_right_root_makes_the_signatures_known_and_what_is_made_from_it_is_checked_for_the_grant()
 {
    let parent = deep(1);
    let text = parent.0.to_base64();
    let foreign = Expect::Root { key: key(99).public(), subject: "user:alice" };
    Capability::accept(&text, foreign).unwrap_err();
    let own = Expect::Root { key: root().public(), subject: "user:alice" };
    let accepted = Capability::accept(&text, own).unwrap();
    assert_eq!(accepted.0.signatures.get(), Some(&Ok(())));
    // The grant's own signature is nothing that a holder can know.
    let mut biscuit = parent.0.shaped().biscuit.clone();
    let throwaway = key(77);
    let content = biscuit.authority.block.clone();
    let payload = [
        b"\0BLOCK\0\0VERSION\0\x01\0\0\0\0PAYLOAD\0".as_slice(),
        &content,
        b"\0ALGORITHM\0\0\0\0\0\0NEXTKEY\0",
        &throwaway.public().to_bytes(),
    ];
    biscuit.authority.next_key.key = throwaway.public().to_bytes().to_vec();
    biscuit.authority.signature = key(99).sign(&payload.concat()).to_vec();
    biscuit.blocks.clear();
    biscuit.proof = signing::proof_of(&throwaway);
    let forged = Capability::from_bytes(&biscuit.encode_to_vec()).unwrap();
    let child = forged.delegate(next_hop(), &key(0), NOW).unwrap();
    assert_eq!(child.0.signatures.get(), Some(&Ok(())));
    assert_eq!(child.0.verify(&root().public()), Err(BadSignature { block: 0 }));
    assert_eq!(child.0.verify(&key(99).public()), Ok(()));
    Capability::accept(&child.to_base64(), own).unwrap_err();
}

#[test]
fn what_depends_on_the_moment_is_looked_at_each_time() {
    let parent = deep(1);
    let key = parent.key().unwrap();
    parent.0.delegate(next_hop(), key, NOW).unwrap();
    parent.0.present(Presenting::to("notion.mcp"), key, NOW).unwrap();
    let later = NOW + Duration::from_secs(15 * 60);
    assert_eq!(parent.0.chain().expires(), later);
    let late = parent.0.delegate(next_hop(), key, later).unwrap_err();
    assert!(matches!(late, DelegateError::Life(_)), "{late}");
    parent.0.present(Presenting::to("notion.mcp"), key, later).unwrap_err();
    let other = parent.0.delegate(next_hop(), &super::key(60), NOW).unwrap_err();
    assert_eq!(other.cause(), Cause::WrongKey);
    let wider = next_hop().scope("resources:read");
    let wider = parent.0.delegate(wider, key, NOW).unwrap_err();
    assert_eq!(wider.cause(), Cause::BeyondScope);
}

#[test]
fn many_threads_find_out_the_same() {
    let parent = deep(4);
    let whole = Capability::parse(&parent.0.to_base64()).unwrap();
    let broken = damaged(&parent.0, 2);
    thread::scope(|scope| {
        for number in 0..8 {
            let (whole, broken, parent) = (whole.clone(), broken.clone(), &parent);
            scope.spawn(move || {
                let key = parent.key().unwrap();
                let error = broken.delegate(next_hop(), key, NOW).unwrap_err();
                assert_eq!(error, DelegateError::Holder(HolderError::Signature { block: 2 }));
                if number % 2 == 0 {
                    assert_eq!(whole.0.verify(&root().public()), Ok(()));
                }
                same_as_read(&whole.delegate(next_hop(), key, NOW).unwrap().0);
            });
        }
    });
    assert_eq!(whole.0.signatures.get(), Some(&Ok(())));
    assert_eq!(broken.0.signatures.get(), Some(&Err(BadSignature { block: 2 })));
}
