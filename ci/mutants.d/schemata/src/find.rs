//! Finds what can be changed in a file.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Arm, Attribute, BinOp, Block, Expr, ExprBinary, ExprIf, ExprMatch, Lit, Pat, ReturnType,
    Signature, Stmt, UnOp,
};

use crate::place::{Change, Form, Place};
use crate::syntax::{self, has_let, is_absent, is_call_of, is_chain, one_line, short};
use crate::values;

/// Methods that ask a closure yes or no.
const ASKING: [&str; 14] = [
    "all",
    "any",
    "filter",
    "find",
    "is_err_and",
    "is_none_or",
    "is_ok_and",
    "is_some_and",
    "partition",
    "position",
    "retain",
    "skip_while",
    "take_while",
    "rposition",
];

/// All changes of a file, from this number on, and where they stand.
pub fn find(file: &str, source: &str, from: u32) -> Result<(Vec<Change>, Vec<Place>), syn::Error> {
    let parsed = syn::parse_file(source)?;
    let mut finder = Finder {
        file,
        source,
        next: from,
        changes: Vec::new(),
        places: Vec::new(),
        scope: Vec::new(),
        taken: HashSet::new(),
        context: String::new(),
        names: BTreeMap::new(),
    };
    finder.visit_file(&parsed);
    Ok((finder.changes, finder.places))
}

struct Finder<'a> {
    file: &'a str,
    source: &'a str,
    next: u32,
    changes: Vec<Change>,
    places: Vec<Place>,
    scope: Vec<String>,
    /// Expressions whose change is another one's already: what notices the one notices the other.
    taken: HashSet<(usize, usize)>,
    /// The statement or arm around, which says where a short text stands.
    context: String,
    names: BTreeMap<String, usize>,
}

impl Finder<'_> {
    fn text(&self, span: Span) -> &str {
        &self.source[span.byte_range()]
    }

    fn key(expr: &Expr) -> (usize, usize) {
        let range = expr.span().byte_range();
        (range.start, range.end)
    }

    /// Takes this expression as one whose yes and no are tried.
    fn take(&mut self, mut expr: &Expr) {
        self.taken.insert(Self::key(expr));
        while let Expr::Paren(inner) = expr {
            expr = &inner.expr;
            self.taken.insert(Self::key(expr));
        }
    }

    /// Notes changes of one place: of each what is done, and the new text.
    fn add(
        &mut self,
        span: Range<usize>,
        line: usize,
        form: Form,
        what: Vec<(String, String)>,
        of: &str,
    ) {
        let function = self.scope.join("::");
        let of = short(of);
        let mut numbered = Vec::new();
        for (done, changed) in what {
            let mut name = format!("{}: {done} in {function}", self.file);
            if !of.is_empty() {
                name = format!("{name}: {of}");
            }
            let count = self.names.entry(name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                name = format!("{name} #{count}");
            }
            numbered.push((self.next, changed));
            self.changes.push(Change {
                number: self.next,
                file: self.file.to_owned(),
                name,
                line,
                function: function.clone(),
            });
            self.next += 1;
        }
        self.places.push(Place { span, form, changes: numbered });
    }

    fn choose(&mut self, expr: &Expr, what: Vec<(&str, String)>, of: &str) {
        let what = what.into_iter().map(|(done, changed)| (done.to_owned(), changed)).collect();
        let span = expr.span();
        self.add(span.byte_range(), span.start().line, Form::Choice, what, of);
    }

    /// A condition is tried as true and as false. One of `&&` is not tried as true, since its operands are taken
    /// out one by one, and that is harder to notice; nor one of `||` as false.
    fn condition(&mut self, expr: &Expr, is_loop: bool) {
        let of = self.text(expr.span()).to_owned();
        if has_let(expr) {
            let span = expr.span();
            let what = vec![("replace condition with false".to_owned(), String::new())];
            self.add(span.byte_range(), span.start().line, Form::Chain, what, &of);
            return;
        }
        let mut what = Vec::new();
        if !is_loop && !is_chain(expr, |op| matches!(op, BinOp::And(_))) {
            what.push(("replace condition with true", "true".to_owned()));
        }
        if !is_chain(expr, |op| matches!(op, BinOp::Or(_))) {
            what.push(("replace condition with false", "false".to_owned()));
        }
        self.choose(expr, what, &of);
        self.take(expr);
    }

    /// Takes out each operand of a chain of `&&` or of `||`.
    fn operands(&mut self, chain: &ExprBinary) {
        let is_and = matches!(chain.op, BinOp::And(_));
        for side in [&chain.left, &chain.right] {
            let same = |op: &BinOp| match is_and {
                true => matches!(op, BinOp::And(_)),
                false => matches!(op, BinOp::Or(_)),
            };
            self.take(side);
            if is_chain(side, same) || matches!(**side, Expr::Let(_)) {
                continue;
            }
            let of = self.text(side.span()).to_owned();
            let (done, changed) = match is_and {
                true => ("take out operand of &&", "true"),
                false => ("take out operand of ||", "false"),
            };
            self.choose(side, vec![(done, changed.to_owned())], &of);
        }
    }

    fn operator(&mut self, expr: &Expr, binary: &ExprBinary) {
        let is_taken = self.taken.contains(&Self::key(expr));
        let others = syntax::others(&binary.op, is_taken);
        if others.is_empty() {
            return;
        }
        let (left, right) =
            (self.text(binary.left.span()).to_owned(), self.text(binary.right.span()).to_owned());
        let op = self.text(binary.op.span()).to_owned();
        let of = self.text(expr.span()).to_owned();
        let what: Vec<(String, String)> = others
            .iter()
            .map(|other| {
                (format!("replace {op} with {other}"), format!("({left}) {other} ({right})"))
            })
            .collect();
        let span = expr.span();
        self.add(span.byte_range(), span.start().line, Form::Choice, what, &of);
    }

    fn negate(&mut self, expr: &Expr) {
        if self.taken.contains(&Self::key(expr)) {
            return;
        }
        let text = self.text(expr.span()).to_owned();
        self.choose(expr, vec![("negate", format!("!({text})"))], &text);
        self.taken.insert(Self::key(expr));
    }

    fn function(&mut self, name: String, signature: &Signature, block: &Block) {
        self.scope.push(name);
        let own = self.scope.iter().rev().nth(1).cloned().unwrap_or_default();
        let values = values::of(signature, &own);
        let printed = match &signature.output {
            ReturnType::Default => String::new(),
            ReturnType::Type(_, ty) => format!(" -> {}", one_line(self.text(ty.span()))),
        };
        let inner = block.span().byte_range();
        let is_default = own.starts_with("<impl Default for");
        let body = short(&self.source[inner.start + 1..inner.end - 1]);
        let what: Vec<(String, String)> = values
            .into_iter()
            .filter(|value| *value != body && !(is_default && value == "Default::default()"))
            .filter(|value| value != "()" || !block.stmts.is_empty())
            .map(|value| (format!("replace the body{printed} with {value}"), value))
            .collect();
        if !what.is_empty() {
            let at = inner.start + 1;
            self.add(at..at, signature.span().start().line, Form::Body, what, "");
        }
        // A last question whose answer is the function's.
        if let ([_, .., Stmt::Expr(last, None)], true) =
            (&block.stmts[..], values::is_unit_result(signature))
        {
            if matches!(last, Expr::Call(_) | Expr::MethodCall(_))
                && !is_call_of(last, &["Ok", "Err"])
            {
                let of = self.text(last.span()).to_owned();
                self.choose(last, vec![("take out the last call", "Ok(())".to_owned())], &of);
            }
        }
        visit::visit_block(self, block);
        self.scope.pop();
    }

    fn in_context(&mut self, text: String, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.context, text);
        visit(self);
        self.context = before;
    }

    fn arms(&mut self, all: &ExprMatch) {
        // With a guard, an arm may be passed over; then something must come after it.
        let has_last = all.arms.last().is_some_and(|arm| {
            arm.guard.is_none()
                && match &arm.pat {
                    Pat::Wild(_) => true,
                    Pat::Ident(ident) => {
                        ident.subpat.is_none()
                            && ident.ident.to_string().starts_with(|c: char| c.is_lowercase())
                    }
                    _ => false,
                }
        });
        for (at, arm) in all.arms.iter().enumerate() {
            if is_absent(&arm.attrs) {
                continue;
            }
            if has_last && arm.guard.is_none() && at + 1 < all.arms.len() {
                let span = arm.pat.span();
                let of = format!("{} => {}", self.text(span), self.text(arm.body.span()));
                let what = vec![("delete match arm".to_owned(), String::new())];
                self.add(span.byte_range(), span.start().line, Form::Guard, what, &of);
            }
            self.visit_arm(arm);
        }
    }

    /// An `if` whose only deed is to refuse: its condition is tried as false, which lets through as well.
    fn take_refusal(&mut self, block: &Block) {
        let [Stmt::Expr(only, _)] = &block.stmts[..] else { return };
        let refusal = match only {
            Expr::Return(returned) => returned.expr.as_deref(),
            other => Some(other),
        };
        if let Some(refusal) = refusal.filter(|refusal| is_call_of(refusal, &["Err"])) {
            self.taken.insert(Self::key(refusal));
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attrs: &[Attribute] = match item {
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Trait(item) => &item.attrs,
            // What is constant is computed by the compiler.
            _ => return,
        };
        if !is_absent(attrs) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.scope.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.scope.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if item.sig.constness.is_none() {
            self.function(item.sig.ident.to_string(), &item.sig, &item.block);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let own = one_line(self.text(item.self_ty.span()));
        let own = own.split('<').next().unwrap_or_default().to_owned();
        let name = match &item.trait_ {
            Some((_, path, _)) => {
                let of =
                    path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
                // What is shown for people decides nothing.
                if matches!(of.as_str(), "Debug" | "Display") {
                    return;
                }
                format!("<impl {of} for {own}>")
            }
            None => own,
        };
        self.scope.push(name);
        visit::visit_item_impl(self, item);
        self.scope.pop();
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if item.sig.constness.is_none() && !is_absent(&item.attrs) {
            self.function(item.sig.ident.to_string(), &item.sig, &item.block);
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.scope.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.scope.pop();
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let (Some(block), false) = (&item.default, is_absent(&item.attrs)) {
            self.function(item.sig.ident.to_string(), &item.sig, block);
        }
    }

    // Neither has anything that is computed at run time.
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_path(&mut self, _: &'ast syn::Path) {}
    fn visit_angle_bracketed_generic_arguments(
        &mut self,
        _: &'ast syn::AngleBracketedGenericArguments,
    ) {
    }
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_stmt(&mut self, stmt: &'ast Stmt) {
        let text = self.text(stmt.span()).to_owned();
        match stmt {
            Stmt::Local(local) if is_absent(&local.attrs) => return,
            Stmt::Expr(Expr::Block(block), _) if is_absent(&block.attrs) => return,
            Stmt::Expr(expr, Some(_)) => {
                let is_call = matches!(expr, Expr::Call(_) | Expr::MethodCall(_))
                    && !is_call_of(expr, &["drop"]);
                if is_call || matches!(expr, Expr::Try(_)) {
                    let span = stmt.span();
                    let what = vec![("take out statement".to_owned(), String::new())];
                    self.add(span.byte_range(), span.start().line, Form::Statement, what, &text);
                }
            }
            _ => {}
        }
        self.in_context(text, |finder| visit::visit_stmt(finder, stmt));
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        if let Some((_, guard)) = &arm.guard {
            let of = self.text(guard.span()).to_owned();
            let mut what = Vec::new();
            if !is_chain(guard, |op| matches!(op, BinOp::And(_))) {
                what.push(("replace match guard with true", "true".to_owned()));
            }
            if !is_chain(guard, |op| matches!(op, BinOp::Or(_))) {
                what.push(("replace match guard with false", "false".to_owned()));
            }
            self.choose(guard, what, &of);
            self.take(guard);
            self.visit_expr(guard);
        }
        let text = format!("{} => {}", self.text(arm.pat.span()), self.text(arm.body.span()));
        self.in_context(text, |finder| finder.visit_expr(&arm.body));
    }

    fn visit_expr_if(&mut self, branch: &'ast ExprIf) {
        self.condition(&branch.cond, false);
        self.take_refusal(&branch.then_branch);
        visit::visit_expr_if(self, branch);
    }

    fn visit_expr_while(&mut self, repeat: &'ast syn::ExprWhile) {
        self.condition(&repeat.cond, true);
        visit::visit_expr_while(self, repeat);
    }

    fn visit_expr_match(&mut self, all: &'ast ExprMatch) {
        self.visit_expr(&all.expr);
        self.arms(all);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let name = call.method.to_string();
        if matches!(name.as_str(), "then" | "then_some") {
            self.condition(&call.receiver, false);
        }
        if ASKING.contains(&name.as_str()) {
            if let Some(Expr::Closure(closure)) = call.args.first() {
                let of = self.text(closure.span()).to_owned();
                let what =
                    vec![("answer true", "true".to_owned()), ("answer false", "false".to_owned())];
                self.choose(&closure.body, what, &of);
                self.take(&closure.body);
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Binary(binary) => match binary.op {
                BinOp::And(_) | BinOp::Or(_) => self.operands(binary),
                _ => self.operator(expr, binary),
            },
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => {
                if !self.taken.contains(&Self::key(expr)) {
                    let (of, inner) = (
                        self.text(expr.span()).to_owned(),
                        self.text(unary.expr.span()).to_owned(),
                    );
                    self.choose(expr, vec![("delete !", inner)], &of);
                }
                self.take(&unary.expr);
            }
            Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
                let (of, inner) =
                    (self.text(expr.span()).to_owned(), self.text(unary.expr.span()).to_owned());
                self.choose(expr, vec![("delete -", inner)], &of);
            }
            Expr::Macro(called) if called.mac.path.is_ident("matches") => self.negate(expr),
            Expr::Lit(literal) => {
                if let (Lit::Bool(value), false) =
                    (&literal.lit, self.taken.contains(&Self::key(expr)))
                {
                    let of = self.context.clone();
                    let (done, changed) = match value.value {
                        true => ("replace true with false", "false"),
                        false => ("replace false with true", "true"),
                    };
                    self.choose(expr, vec![(done, changed.to_owned())], &of);
                }
            }
            Expr::Call(_)
                if is_call_of(expr, &["Err"]) && !self.taken.contains(&Self::key(expr)) =>
            {
                let of = self.context.clone();
                self.choose(
                    expr,
                    vec![("let through instead of Err", "Ok(Default::default())".to_owned())],
                    &of,
                );
            }
            Expr::MethodCall(call)
                if call.args.len() == 1 && (call.method == "min" || call.method == "max") =>
            {
                let of = self.text(expr.span()).to_owned();
                let (receiver, given) = (
                    self.text(call.receiver.span()).to_owned(),
                    self.text(call.args.span()).to_owned(),
                );
                let (done, other) = match call.method == "min" {
                    true => ("replace min with max", "max"),
                    false => ("replace max with min", "min"),
                };
                self.choose(expr, vec![(done, format!("{receiver}.{other}({given})"))], &of);
            }
            _ => {}
        }
        visit::visit_expr(self, expr);
    }
}
