use biscuit_auth::builder::{self, Convert};

use super::*;

fn converted(text: &str) -> (Check, SymbolTable) {
    let mut words = SymbolTable::new();
    let check: builder::Check = text.try_into().unwrap();
    (check.convert(&mut words), words)
}

/// What takes many times its bytes in a token is counted as what it takes.
#[test]
fn sets_maps_and_closures_weigh_what_they_take() {
    let weight = |text: &str| check(&converted(text).0);
    let one = weight("check if arg($a), {1}.contains($a)");
    assert!(one > 11 * size_of::<Term>(), "{one}");
    let sets = weight("check if arg($a), [{1}, {2}, {3}, {4}].contains($a)");
    assert!(sets > one + 3 * 11 * size_of::<Term>(), "{sets}");
    let many: Vec<String> = (0..60).map(|number| number.to_string()).collect();
    let many = weight(&format!("check if arg($a), {{{}}}.contains($a)", many.join(", ")));
    // Where members come in their order, nodes are half full.
    assert!(many >= one + 9 * 11 * size_of::<Term>(), "{many}");
    let map = weight("check if arg($a), {\"a\": {\"b\": 1}} === $a");
    assert!(map > 2 * 11 * size_of::<(MapKey, Term)>(), "{map}");
    let bytes = format!("check if arg($a), hex:{} === $a", "07".repeat(500));
    assert!(weight(&bytes) > 500);
    let closure = weight("check if arg($a), [1].any($x -> $x === $a)");
    assert!(closure > weight("check if arg($a), [1].contains($a)") + 3 * size_of::<Op>());
}

#[test]
fn words_weigh_their_bytes_and_keys_their_points() {
    let (_, table) = converted("check if alpha($alpha), beta($alpha)");
    let none = words(&SymbolTable::new(), 0);
    assert_eq!(none, 0);
    assert!(words(&table, 0) >= "alphabeta".len() + 2 * size_of::<String>());
    assert!(words(&table, 3) >= words(&table, 0) + 3 * size_of::<biscuit_auth::PublicKey>());
}
