//! What is written in the trait: parsed once, and checked.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens as _;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, Ident, ItemTrait, Lit, LitFloat, LitStr, Meta, Pat,
    PatType, PathArguments, ReceiverKind, ReturnType, Signature, Token, TraitItem, TraitItemFn, Type,
    Visibility,
};

use super::names::{self, Case};

/// A contract as its author declared it.
pub(crate) struct Contract {
    pub(super) visibility: Visibility,
    pub(super) ident: Ident,
    pub(super) name: String,
    pub(super) documentation: String,
    pub(super) attributes: Vec<Attribute>,
    pub(super) case: Case,
    pub(super) calls: Vec<Call>,
    pub(super) pushes: Vec<Push>,
}

pub(super) struct Call {
    pub(super) ident: Ident,
    pub(super) name: String,
    pub(super) documentation: String,
    pub(super) kind: CallKind,
    pub(super) body: Body,
    pub(super) output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    Reply,
    Ack,
    Send,
}

/// What a function returns.
pub(super) struct Output {
    /// The type as it is written; nothing for `()`.
    pub(super) written: Option<Type>,
    /// Whether it is a `Result`.
    pub(super) fallible: bool,
    /// What comes back on success.
    pub(super) value: Option<Type>,
}

pub(super) struct Push {
    pub(super) ident: Ident,
    pub(super) name: String,
    pub(super) documentation: String,
    pub(super) body: Body,
    pub(super) delivery: Delivery,
}

pub(super) enum Delivery {
    Reliable,
    Conflate(Vec<Ident>),
    DropOldest,
    Sample(f32),
}

/// The body of a call or a push.
pub(super) enum Body {
    /// An object with a field for each argument.
    Fields(Vec<Argument>),
    /// The one argument marked `#[body]`.
    Whole(Argument),
}

pub(super) struct Argument {
    pub(super) ident: Ident,
    pub(super) ty: Type,
    /// Attributes for the field, such as `#[serde(default)]`.
    pub(super) attributes: Vec<Attribute>,
}

/// The functions the server trait has besides the calls.
const HOOKS: [&str; 2] = ["attached", "closed"];

impl Contract {
    pub(crate) fn parse(arguments: TokenStream, item: ItemTrait) -> syn::Result<Self> {
        let Arguments { name, case } = Arguments::parse(arguments)?;
        if !item.generics.params.is_empty() {
            let message = "a contract is one set of types: it has no parameters";
            return Err(syn::Error::new_spanned(&item.generics, message));
        }
        if let Some(supertrait) = item.supertraits.first() {
            return Err(syn::Error::new_spanned(supertrait, "a contract has no supertraits"));
        }
        let mut contract = Self {
            visibility: item.vis,
            name: name.unwrap_or_else(|| item.ident.to_string()),
            documentation: documentation(&item.attrs),
            attributes: item.attrs,
            ident: item.ident,
            case,
            calls: Vec::new(),
            pushes: Vec::new(),
        };
        let mut errors = Errors::default();
        for item in item.items {
            errors.absorb(contract.add(item));
        }
        errors.absorb(contract.check_names());
        errors.finish().map(|()| contract)
    }

    fn add(&mut self, item: TraitItem) -> syn::Result<()> {
        let TraitItem::Fn(function) = item else {
            let message = "a contract has only functions: calls (`async fn`) and pushes (`#[push] fn`)";
            return Err(syn::Error::new_spanned(item, message));
        };
        let Marks { name, send, push, rest: _ } = Marks::take(&function.attrs)?;
        let ident = function.sig.ident.clone();
        let name = match name {
            Some(name) => name.value(),
            None => self.case.apply(ident.to_string().trim_start_matches("r#")),
        };
        check_signature(&function)?;
        let documentation = documentation(&function.attrs);
        match (send, push) {
            (Some(span), Some(_)) => {
                Err(syn::Error::new(span, "a function is either `#[send]` or `#[push]`"))
            }
            (None, Some(delivery)) => {
                self.pushes.push(Push::parse(ident, name, documentation, &function.sig, delivery)?);
                Ok(())
            }
            (send, None) => {
                self.calls.push(Call::parse(ident, name, documentation, &function.sig, send.is_some())?);
                Ok(())
            }
        }
    }

    fn check_names(&self) -> syn::Result<()> {
        let calls = self.calls.iter().map(|call| (&call.ident, &call.name));
        let all: Vec<_> = calls.chain(self.pushes.iter().map(|push| (&push.ident, &push.name))).collect();
        let mut errors = Errors::default();
        for (index, (ident, name)) in all.iter().enumerate() {
            if let Some(problem) = names::problem(name) {
                errors.absorb(Err(syn::Error::new_spanned(ident, problem)));
            }
            if all[..index].iter().any(|(_, other)| other == name) {
                let message = format!("`{name}` is there twice: calls and pushes share their names");
                errors.absorb(Err(syn::Error::new_spanned(ident, message)));
            }
        }
        for call in self.calls.iter().filter(|call| HOOKS.contains(&call.ident.to_string().as_str())) {
            let message = format!(
                "`{0}` is a hook of the server trait: give the function another name and write \
                 `#[name = \"{0}\"]` above it",
                call.ident
            );
            errors.absorb(Err(syn::Error::new_spanned(&call.ident, message)));
        }
        if let Some(push) = self.pushes.iter().find(|push| push.ident == "serve") {
            let message = "`serve` makes a server of the contract: give the function another name and write \
                           `#[name = \"serve\"]` above it";
            errors.absorb(Err(syn::Error::new_spanned(&push.ident, message)));
        }
        errors.finish()
    }
}

impl Call {
    fn parse(
        ident: Ident,
        name: String,
        documentation: String,
        signature: &Signature,
        send: bool,
    ) -> syn::Result<Self> {
        if signature.asyncness.is_none() {
            let message = "a call is an `async fn(&self, ..)`; a push is marked `#[push]`";
            return Err(syn::Error::new_spanned(signature.fn_token, message));
        }
        match signature.inputs.first() {
            Some(FnArg::Receiver(receiver))
                if matches!(receiver.kind, ReceiverKind::Reference(_, None, None)) => {}
            Some(other) => return Err(syn::Error::new_spanned(other, "a call begins with `&self`")),
            None => return Err(syn::Error::new_spanned(&signature.ident, "a call begins with `&self`")),
        }
        let body = Body::parse(signature.inputs.iter().skip(1))?;
        let output = Output::parse(&signature.output);
        let kind = match (send, &output.value) {
            (true, Some(value)) => {
                let message = "nothing comes back from a `#[send]`: return nothing, or `Result<(), E>`";
                return Err(syn::Error::new_spanned(value, message));
            }
            (true, None) => CallKind::Send,
            (false, Some(_)) => CallKind::Reply,
            (false, None) => CallKind::Ack,
        };
        Ok(Self { ident, name, documentation, kind, body, output })
    }
}

impl Push {
    fn parse(
        ident: Ident,
        name: String,
        documentation: String,
        signature: &Signature,
        delivery: Delivery,
    ) -> syn::Result<Self> {
        if let Some(asyncness) = &signature.asyncness {
            let message = "a push is a plain `fn`: it only makes the message";
            return Err(syn::Error::new_spanned(asyncness, message));
        }
        if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
            return Err(syn::Error::new_spanned(
                receiver,
                "a push has no `self`: its arguments are its body",
            ));
        }
        if let ReturnType::Type(_, ty) = &signature.output {
            return Err(syn::Error::new_spanned(ty, "a push returns nothing: clients do not answer it"));
        }
        let body = Body::parse(signature.inputs.iter())?;
        if let Delivery::Conflate(keys) = &delivery {
            for key in keys {
                if !body.arguments().iter().any(|argument| argument.ident == *key) {
                    let message = format!("the key `{key}` is no argument of this push");
                    return Err(syn::Error::new_spanned(key, message));
                }
            }
        }
        Ok(Self { ident, name, documentation, body, delivery })
    }
}

impl Body {
    fn parse<'a>(inputs: impl Iterator<Item = &'a FnArg>) -> syn::Result<Self> {
        let mut arguments = Vec::new();
        let mut whole = None;
        for input in inputs {
            let FnArg::Typed(PatType { attrs, pat, ty, .. }) = input else {
                return Err(syn::Error::new_spanned(input, "`self` comes first"));
            };
            let Pat::Ident(pattern) = &**pat else {
                return Err(syn::Error::new_spanned(pat, "an argument of a contract is a plain name"));
            };
            if let Type::Reference(reference) = &**ty {
                let message = "a message owns what is in it: write `String` for `&str`, `Vec<T>` for `&[T]`";
                return Err(syn::Error::new_spanned(reference, message));
            }
            let (marks, attributes): (Vec<_>, Vec<_>) =
                attrs.iter().cloned().partition(|attribute| attribute.path().is_ident("body"));
            if let Some(mark) = marks.first() {
                whole = Some(mark.span());
            }
            arguments.push(Argument { ident: pattern.ident.clone(), ty: (**ty).clone(), attributes });
        }
        match (whole, arguments.len()) {
            (None, _) => Ok(Self::Fields(arguments)),
            (Some(_), 1) => Ok(Self::Whole(arguments.remove(0))),
            (Some(span), _) => {
                Err(syn::Error::new(span, "an argument that is the whole body is the only argument"))
            }
        }
    }

    pub(super) fn arguments(&self) -> &[Argument] {
        match self {
            Self::Fields(arguments) => arguments,
            Self::Whole(argument) => std::slice::from_ref(argument),
        }
    }
}

impl Output {
    fn parse(output: &ReturnType) -> Self {
        let ReturnType::Type(_, ty) = output else {
            return Self { written: None, fallible: false, value: None };
        };
        let written = Some((**ty).clone());
        let Some(arguments) = result_arguments(ty) else {
            return Self { written, fallible: false, value: not_unit(ty) };
        };
        // `wirelark::Result` without arguments is that of nothing.
        let value = match arguments {
            PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
                Some(GenericArgument::Type(ty)) => not_unit(ty),
                _ => None,
            },
            _ => None,
        };
        Self { written, fallible: true, value }
    }
}

/// The arguments of a type whose last segment is `Result`.
fn result_arguments(ty: &Type) -> Option<&PathArguments> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    (last.ident == "Result").then_some(&last.arguments)
}

fn not_unit(ty: &Type) -> Option<Type> {
    match ty {
        Type::Tuple(tuple) if tuple.elems.is_empty() => None,
        ty => Some(ty.clone()),
    }
}

fn check_signature(function: &TraitItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    if let Some(body) = &function.default {
        let message = "a contract says what there is, not what it does: the server trait has the body";
        return Err(syn::Error::new_spanned(body, message));
    }
    if !signature.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(&signature.generics, "a message has one type: no parameters"));
    }
    Ok(())
}

/// The attributes that are ours.
struct Marks {
    name: Option<LitStr>,
    send: Option<Span>,
    push: Option<Delivery>,
    rest: Vec<Attribute>,
}

impl Marks {
    fn take(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut marks = Self { name: None, send: None, push: None, rest: Vec::new() };
        for attribute in attributes {
            let path = attribute.path();
            if path.is_ident("name") {
                marks.name = Some(string(&attribute.meta.require_name_value()?.value)?);
            } else if path.is_ident("send") {
                attribute.meta.require_path_only()?;
                marks.send = Some(attribute.span());
            } else if path.is_ident("push") {
                marks.push = Some(Delivery::parse(attribute)?);
            } else if path.is_ident("doc") {
                marks.rest.push(attribute.clone());
            } else {
                let message =
                    "a function of a contract takes `#[send]`, `#[push]`, `#[name = \"..\"]` and comments";
                return Err(syn::Error::new_spanned(attribute, message));
            }
        }
        Ok(marks)
    }
}

impl Delivery {
    fn parse(attribute: &Attribute) -> syn::Result<Self> {
        if matches!(attribute.meta, Meta::Path(_)) {
            return Ok(Self::Reliable);
        }
        let hint = "write `#[push]`, `#[push(conflate = key)]`, `#[push(conflate(a, b))]`, \
                    `#[push(drop_oldest)]` or `#[push(sample = 10.0)]` (times per second)";
        let options = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
        let option = options.first().filter(|_| options.len() == 1);
        let wrong = || syn::Error::new_spanned(attribute, hint);
        match option.ok_or_else(wrong)? {
            Meta::Path(path) if path.is_ident("reliable") => Ok(Self::Reliable),
            Meta::Path(path) if path.is_ident("drop_oldest") => Ok(Self::DropOldest),
            Meta::NameValue(option) if option.path.is_ident("conflate") => {
                let Expr::Path(key) = &option.value else { return Err(wrong()) };
                Ok(Self::Conflate(vec![key.path.require_ident()?.clone()]))
            }
            Meta::List(option) if option.path.is_ident("conflate") => {
                let keys = option.parse_args_with(Punctuated::<Ident, Token![,]>::parse_terminated)?;
                Ok(Self::Conflate(keys.into_iter().collect()))
            }
            Meta::NameValue(option) if option.path.is_ident("sample") => {
                let rate = number(&option.value).filter(|rate| rate.is_finite() && *rate > 0.0);
                let message = "a rate is more than 0 times per second, such as `sample = 10.0`";
                rate.map(Self::Sample).ok_or_else(|| syn::Error::new_spanned(&option.value, message))
            }
            _ => Err(wrong()),
        }
    }
}

fn number(value: &Expr) -> Option<f32> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Float(float), .. }) => LitFloat::base10_parse(float).ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. }) => int.base10_parse().ok(),
        _ => None,
    }
}

fn string(value: &Expr) -> syn::Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(string), .. }) => Ok(string.clone()),
        other => Err(syn::Error::new_spanned(other, "write a name in quotes")),
    }
}

/// The comments above an item, as one text.
fn documentation(attributes: &[Attribute]) -> String {
    let lines =
        attributes.iter().filter(|attribute| attribute.path().is_ident("doc")).filter_map(|attribute| {
            let line = string(&attribute.meta.require_name_value().ok()?.value).ok()?.value();
            Some(line.strip_prefix(' ').unwrap_or(&line).to_owned())
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands in the brackets of `#[contract(..)]`.
#[derive(Default)]
struct Arguments {
    name: Option<String>,
    case: Case,
}

impl Arguments {
    fn parse(arguments: TokenStream) -> syn::Result<Self> {
        let mut parsed = Self::default();
        let metas = syn::parse::Parser::parse2(Punctuated::<Meta, Token![,]>::parse_terminated, arguments)?;
        for meta in metas {
            match &meta {
                Meta::NameValue(option) if option.path.is_ident("name") => {
                    let name = string(&option.value)?;
                    if let Some(problem) = names::problem(&name.value()) {
                        return Err(syn::Error::new_spanned(name, problem));
                    }
                    parsed.name = Some(name.value());
                }
                Meta::NameValue(option) if option.path.is_ident("rename_all") => {
                    parsed.case = Case::parse(&string(&option.value)?)?;
                }
                other => {
                    let message = "`#[contract]` takes `name = \"..\"` and `rename_all = \"camelCase\"`";
                    return Err(syn::Error::new_spanned(other.to_token_stream(), message));
                }
            }
        }
        Ok(parsed)
    }
}

/// Several errors as one: whoever wrote them can mend them together.
#[derive(Default)]
struct Errors(Option<syn::Error>);

impl Errors {
    fn absorb(&mut self, result: syn::Result<()>) {
        let Err(error) = result else { return };
        match &mut self.0 {
            Some(first) => first.combine(error),
            none => *none = Some(error),
        }
    }

    fn finish(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
