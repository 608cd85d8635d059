//! What a function may return instead of what it finds out.

use syn::{FnArg, GenericArgument, PathArguments, ReturnType, Signature, Type};

/// The values for the type that this function returns. `own` is the type that it belongs to.
pub fn of(signature: &Signature, own: &str) -> Vec<String> {
    let ReturnType::Type(_, ty) = &signature.output else { return vec!["()".to_owned()] };
    let returns_own = matches!(&**ty, Type::Path(path)
        if path.path.is_ident("Self") || path.path.segments.last().is_some_and(|last| last.ident == own));
    let takes_own = signature.inputs.iter().any(
        |input| matches!(input, FnArg::Receiver(receiver) if receiver.reference.is_none() && receiver.colon_token.is_none()),
    );
    match returns_own && takes_own {
        true => vec!["self".to_owned()],
        false => of_type(ty),
    }
}

/// Whether it returns that something holds, or why not.
pub fn is_unit_result(signature: &Signature) -> bool {
    let ReturnType::Type(_, ty) = &signature.output else { return false };
    let Type::Path(path) = &**ty else { return false };
    path.path.segments.last().is_some_and(|last| {
        last.ident == "Result"
            && argument(&last.arguments)
                .is_some_and(|ty| matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty()))
    })
}

fn of_type(ty: &Type) -> Vec<String> {
    let some = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    match ty {
        Type::Tuple(tuple) if tuple.elems.is_empty() => some(&["()"]),
        Type::Tuple(_) | Type::Array(_) => some(&["Default::default()"]),
        Type::Paren(inner) => of_type(&inner.elem),
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => some(&["\"\"", "\"xyzzy\""]),
            Type::Slice(_) => some(&["Default::default()"]),
            _ => Vec::new(),
        },
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return Vec::new() };
            let inner = || argument(&last.arguments).map(of_type).unwrap_or_default();
            match last.ident.to_string().as_str() {
                "bool" => some(&["true", "false"]),
                "String" => some(&["String::new()", "\"xyzzy\".into()"]),
                "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64"
                | "i128" | "isize" => some(&["0", "1"]),
                "Option" => {
                    let inner = inner().into_iter().map(|value| format!("Some({value})"));
                    std::iter::once("None".to_owned()).chain(inner).collect()
                }
                "Result" => inner().into_iter().map(|value| format!("Ok({value})")).collect(),
                _ => some(&["Default::default()"]),
            }
        }
        _ => Vec::new(),
    }
}

fn argument(arguments: &PathArguments) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}
