//! What is asked of a piece of source.

use syn::{Attribute, BinOp, Expr, Meta};

/// What an operator is replaced with. Of a comparison whose yes and no are tried anyway, the bound alone.
pub fn others(op: &BinOp, is_taken: bool) -> &'static [&'static str] {
    match op {
        BinOp::Eq(_) if !is_taken => &["!="],
        BinOp::Ne(_) if !is_taken => &["=="],
        BinOp::Lt(_) if !is_taken => &["<=", ">="],
        BinOp::Le(_) if !is_taken => &["<", ">"],
        BinOp::Gt(_) if !is_taken => &[">=", "<="],
        BinOp::Ge(_) if !is_taken => &[">", "<"],
        BinOp::Lt(_) => &["<="],
        BinOp::Le(_) => &["<"],
        BinOp::Gt(_) => &[">="],
        BinOp::Ge(_) => &[">"],
        BinOp::Add(_) => &["-", "*"],
        BinOp::Sub(_) => &["+", "/"],
        BinOp::Mul(_) => &["+", "/"],
        BinOp::Div(_) => &["%", "*"],
        BinOp::Rem(_) => &["/", "+"],
        BinOp::BitAnd(_) => &["|", "^"],
        BinOp::BitOr(_) => &["&", "^"],
        BinOp::BitXor(_) => &["|", "&"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-=", "*="],
        BinOp::SubAssign(_) => &["+=", "/="],
        BinOp::MulAssign(_) => &["+=", "/="],
        BinOp::BitAndAssign(_) => &["|=", "^="],
        BinOp::BitOrAssign(_) => &["&=", "^="],
        BinOp::BitXorAssign(_) => &["|=", "&="],
        _ => &[],
    }
}

pub fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

pub fn is_chain(expr: &Expr, is: impl Fn(&BinOp) -> bool) -> bool {
    match expr {
        Expr::Binary(binary) => is(&binary.op),
        Expr::Paren(paren) => is_chain(&paren.expr, is),
        _ => false,
    }
}

pub fn is_call_of(expr: &Expr, names: &[&str]) -> bool {
    matches!(expr, Expr::Call(call) if matches!(&*call.func, Expr::Path(path) if names.iter().any(|name| path.path.is_ident(name))))
}

/// Whether what has these attributes is not compiled here, or for tests alone.
pub fn is_absent(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        Meta::Path(path) => path.segments.last().is_some_and(|last| last.ident == "test"),
        Meta::List(list) => {
            let said = list.tokens.to_string();
            list.path.is_ident("cfg")
                && (said == "test"
                    || [
                        "all (test",
                        "not (unix",
                        "not (feature",
                        "windows",
                        "fuzzing",
                        "not (target",
                    ]
                    .iter()
                    .any(|absent| said.contains(absent)))
        }
        Meta::NameValue(_) => false,
    })
}

pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of a name: in one line, and not too long.
pub fn short(text: &str) -> String {
    const MOST: usize = 120;
    let text = one_line(text);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
