//! What is written in the trait: parsed once, and checked.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens as _;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Expr, ExprLit, FnArg, GenericArgument, Ident, ItemTrait, Lit, LitFloat, LitInt, LitStr, Meta,
    Pat, PatIdent, PatType, PathArguments, ReceiverKind, ReturnType, Signature, Token, TraitItem,
    TraitItemFn, Type, Visibility,
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
    /// Where the name is written: in `#[name = ".."]`, or as the function's own.
    name_span: Span,
    pub(super) documentation: String,
    pub(super) kind: CallKind,
    pub(super) rate: Option<Rate>,
    pub(super) body: Body,
    pub(super) output: Output,
    pub(super) requirements: Requirements,
}

/// What callers must have.
#[derive(Default)]
pub(super) struct Requirements {
    pub(super) scopes: Vec<LitStr>,
    pub(super) roles: Vec<LitStr>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CallKind {
    Reply,
    Ack,
    Send,
}

/// How often a call may be made, as functions of `wirelark::Rate`.
pub(super) struct Rate {
    /// `per_second`, `per_minute` or `per_hour`.
    pub(super) per: Ident,
    pub(super) count: LitInt,
    pub(super) burst: Option<LitInt>,
    /// A variant of `RateBy`.
    pub(super) by: Option<Ident>,
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
    /// As [`Call::name_span`].
    name_span: Span,
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
    Whole(Box<Argument>),
}

pub(super) struct Argument {
    pub(super) ident: Ident,
    pub(super) ty: Type,
    /// Attributes for the field, such as `#[serde(default)]`.
    pub(super) attributes: Vec<Attribute>,
}

/// What a call and a push have in common.
struct Head {
    ident: Ident,
    name: String,
    name_span: Span,
    documentation: String,
}

/// The functions the server trait has besides the calls.
const HOOKS: [&str; 2] = ["attached", "closed"];

impl Contract {
    pub(crate) fn parse(arguments: TokenStream, item: ItemTrait) -> syn::Result<Self> {
        let Arguments { name, case } = Arguments::parse(arguments)?;
        if !item.generics.params.is_empty() {
            let message = "a contract is one set of types: it has no parameters, so name the types";
            return Err(syn::Error::new_spanned(&item.generics, message));
        }
        if let Some(supertrait) = item.supertraits.first() {
            let message = "a contract has no supertraits: any type may implement its server trait";
            return Err(syn::Error::new_spanned(supertrait, message));
        }
        let name = name.unwrap_or_else(|| LitStr::new(&item.ident.to_string(), item.ident.span()));
        if let Some(problem) = names::contract_problem(&name.value()) {
            return Err(syn::Error::new_spanned(name, problem));
        }
        let mut contract = Self {
            visibility: item.vis,
            name: name.value(),
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
        let Marks { name, send, push, require, requirements, rate } = Marks::take(&function.attrs)?;
        let ident = function.sig.ident.clone();
        let (name, name_span) = match name {
            Some(name) => (name.value(), name.span()),
            None => (self.case.apply(ident.to_string().trim_start_matches("r#")), ident.span()),
        };
        check_signature(&function)?;
        let head = Head { ident, name, name_span, documentation: documentation(&function.attrs) };
        if let (Some((mark, _)), Some(_)) = (&rate, &push) {
            let message = "a `#[rate]` limits what clients ask for: how often a push reaches a slow client is \
                           `#[push(sample = 10.0)]`";
            return Err(syn::Error::new_spanned(mark, message));
        }
        match (send, push) {
            (Some(mark), Some(_)) => {
                let message =
                    "a function is either `#[send]`, from the client, or `#[push]`, to it: keep one";
                Err(syn::Error::new_spanned(mark, message))
            }
            (None, Some(_)) if require.is_some() => {
                let message = "a push is the server's to send: what clients must have to get it, it asks before it sends";
                Err(syn::Error::new_spanned(require, message))
            }
            (None, Some(delivery)) => {
                self.pushes.push(Push::parse(head, &function.sig, delivery)?);
                Ok(())
            }
            (send, None) => {
                let rate = rate.map(|(_, rate)| rate);
                let call = Call::parse(head, &function.sig, send.is_some())?;
                self.calls.push(Call { requirements, rate, ..call });
                Ok(())
            }
        }
    }

    fn check_names(&self) -> syn::Result<()> {
        let calls = self.calls.iter().map(|call| (&call.ident, &call.name, call.name_span));
        let pushes = self.pushes.iter().map(|push| (&push.ident, &push.name, push.name_span));
        let all: Vec<_> = calls.chain(pushes).collect();
        let mut errors = Errors::default();
        for (index, (ident, name, span)) in all.iter().enumerate() {
            if let Some(problem) = names::problem(name) {
                errors.absorb(Err(syn::Error::new(*span, problem)));
            }
            let before = &all[..index];
            if before.iter().any(|(other, ..)| other == ident) {
                let message = format!(
                    "the function `{ident}` is there twice: rename one; `#[name = \"..\"]` above it says what \
                     it is called on the wire"
                );
                errors.absorb(Err(syn::Error::new_spanned(ident, message)));
            } else if before.iter().any(|(_, other, _)| other == name) {
                let message = format!(
                    "`{name}` is there twice, and calls and pushes share their names: rename one, or write \
                     `#[name = \"..\"]` above it"
                );
                errors.absorb(Err(syn::Error::new(*span, message)));
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
    fn parse(head: Head, signature: &Signature, send: bool) -> syn::Result<Self> {
        let Head { ident, name, name_span, documentation } = head;
        if signature.asyncness.is_none() {
            let message = format!(
                "a call waits for its answer: write `async fn {ident}(&self, ..)`; a message to clients is \
                 marked `#[push]`"
            );
            return Err(syn::Error::new_spanned(signature.fn_token, message));
        }
        let no_receiver = format!("a call begins with `&self`: write `async fn {ident}(&self, ..)`");
        match signature.inputs.first() {
            Some(FnArg::Receiver(receiver))
                if matches!(receiver.kind, ReceiverKind::Reference(_, None, None)) => {}
            Some(other) => return Err(syn::Error::new_spanned(other, no_receiver)),
            None => return Err(syn::Error::new_spanned(&signature.ident, no_receiver)),
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
        let requirements = Requirements::default();
        Ok(Self { ident, name, name_span, documentation, kind, rate: None, body, output, requirements })
    }
}

impl Push {
    fn parse(head: Head, signature: &Signature, delivery: Delivery) -> syn::Result<Self> {
        let Head { ident, name, name_span, documentation } = head;
        if let Some(asyncness) = &signature.asyncness {
            let message = "a push only makes the message: write `fn` without `async`";
            return Err(syn::Error::new_spanned(asyncness, message));
        }
        if let Some(FnArg::Receiver(receiver)) = signature.inputs.first() {
            let message = "the arguments of a push are its body: remove the `self`";
            return Err(syn::Error::new_spanned(receiver, message));
        }
        if let ReturnType::Type(_, ty) = &signature.output {
            let message = "clients do not answer a push: remove what it returns";
            return Err(syn::Error::new_spanned(ty, message));
        }
        let body = Body::parse(signature.inputs.iter())?;
        if let Delivery::Conflate(keys) = &delivery {
            for key in keys {
                if !body.arguments().iter().any(|argument| argument.ident == *key) {
                    return Err(syn::Error::new_spanned(key, body.unknown_key(key)));
                }
            }
        }
        Ok(Self { ident, name, name_span, documentation, body, delivery })
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
            let Some(ident) = plain_name(pat) else {
                let message =
                    "the argument is a field of the message: give it a plain name, such as `point: Point`";
                return Err(syn::Error::new_spanned(pat, message));
            };
            if let Type::Reference(reference) = &**ty {
                let message = "a message owns what is in it: write `String` for `&str`, `Vec<T>` for `&[T]`";
                return Err(syn::Error::new_spanned(reference, message));
            }
            let (marks, attributes): (Vec<_>, Vec<_>) =
                attrs.iter().cloned().partition(|attribute| attribute.path().is_ident("body"));
            if let Some(mark) = marks.first() {
                alone(mark, "body")?;
                whole = Some(mark.clone());
                if let Some(attribute) = attributes.iter().find(|other| !other.path().is_ident("doc")) {
                    let message = "this would be an attribute of a field, and a `#[body]` is none: write it in \
                                   the type, and `Valid<T>` to have that validated";
                    return Err(syn::Error::new_spanned(attribute, message));
                }
            }
            arguments.push(Argument { ident: ident.clone(), ty: (**ty).clone(), attributes });
        }
        match (whole, arguments.len()) {
            (None, _) => Ok(Self::Fields(arguments)),
            (Some(_), 1) => Ok(Self::Whole(Box::new(arguments.remove(0)))),
            (Some(mark), _) => {
                let message = "`#[body]` is the whole body, and so the only argument: remove the others, or the \
                               `#[body]`";
                Err(syn::Error::new_spanned(mark, message))
            }
        }
    }

    /// What to write instead of a key that is no argument.
    fn unknown_key(&self, key: &Ident) -> String {
        let names: Vec<_> = self.arguments().iter().map(|argument| format!("`{}`", argument.ident)).collect();
        match names.as_slice() {
            [] => format!("the key `{key}` is no argument: this push has none, so write `#[push]`"),
            names => {
                format!("the key `{key}` is no argument of this push: write one of {}", names.join(", "))
            }
        }
    }

    pub(super) fn arguments(&self) -> &[Argument] {
        match self {
            Self::Fields(arguments) => arguments,
            Self::Whole(argument) => std::slice::from_ref(&**argument),
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

/// The name of an argument that is nothing but a name.
fn plain_name(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(PatIdent { by_ref: None, mutability: None, subpat: None, ident, .. }) => Some(ident),
        _ => None,
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
        let message = "a contract says what there is, not what it does: end the line with `;`, and write the \
                       body where the server trait is implemented";
        return Err(syn::Error::new_spanned(body, message));
    }
    if !signature.generics.params.is_empty() {
        let message = "a message has one type: name it, instead of a parameter";
        return Err(syn::Error::new_spanned(&signature.generics, message));
    }
    Ok(())
}

/// The attributes that are ours.
struct Marks {
    name: Option<LitStr>,
    send: Option<Attribute>,
    push: Option<Delivery>,
    /// The first that says what is required, and what all of them do.
    require: Option<Attribute>,
    requirements: Requirements,
    rate: Option<(Attribute, Rate)>,
}

impl Marks {
    fn take(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut marks = Self {
            name: None,
            send: None,
            push: None,
            require: None,
            requirements: Requirements::default(),
            rate: None,
        };
        for attribute in attributes {
            let path = attribute.path();
            if path.is_ident("name") {
                let Meta::NameValue(option) = &attribute.meta else {
                    return Err(syn::Error::new_spanned(attribute, "write `#[name = \"..\"]`"));
                };
                marks.name = Some(string(&option.value)?);
            } else if path.is_ident("send") {
                alone(attribute, "send")?;
                marks.send = Some(attribute.clone());
            } else if path.is_ident("push") {
                marks.push = Some(Delivery::parse(attribute)?);
            } else if path.is_ident("require") {
                marks.requirements.add(attribute)?;
                marks.require.get_or_insert_with(|| attribute.clone());
            } else if path.is_ident("rate") {
                marks.rate = Some((attribute.clone(), Rate::parse(attribute)?));
            } else if !path.is_ident("doc") {
                let message = "a function of a contract takes `#[send]`, `#[push]`, `#[require(..)]`, `#[rate(..)]`, `#[name = \
                               \"..\"]` and comments";
                return Err(syn::Error::new_spanned(attribute, message));
            }
        }
        Ok(marks)
    }
}

impl Requirements {
    fn add(&mut self, attribute: &Attribute) -> syn::Result<()> {
        let hint = "write `#[require(scope = \"..\")]`, `#[require(role = \"..\")]` or both; who makes the call must have all of it";
        let wrong = || syn::Error::new_spanned(attribute, hint);
        let Meta::List(list) = &attribute.meta else { return Err(wrong()) };
        let options = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
        if options.is_empty() {
            return Err(wrong());
        }
        for option in options {
            match &option {
                Meta::NameValue(option) if option.path.is_ident("scope") => {
                    self.scopes.push(string(&option.value)?);
                }
                Meta::NameValue(option) if option.path.is_ident("role") => {
                    self.roles.push(string(&option.value)?);
                }
                other => return Err(syn::Error::new_spanned(other, hint)),
            }
        }
        Ok(())
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

impl Rate {
    fn parse(attribute: &Attribute) -> syn::Result<Self> {
        let hint = "write `#[rate(per_second = 5)]`, or `per_minute` or `per_hour`; `burst = 10` says how many may come \
                    at once, `by = user` or `by = address` what is counted together, instead of a connection";
        let Meta::List(_) = attribute.meta else { return Err(syn::Error::new_spanned(attribute, hint)) };
        let options = attribute
            .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .map_err(|_| syn::Error::new_spanned(attribute, hint))?;
        let (mut rate, mut burst, mut by) = (None, None, None);
        for option in &options {
            let Meta::NameValue(option) = option else { return Err(syn::Error::new_spanned(option, hint)) };
            let key = option.path.require_ident()?;
            if ["per_second", "per_minute", "per_hour"].iter().any(|per| key == per) {
                if rate.is_some() {
                    return Err(syn::Error::new_spanned(key, "a call has one rate: keep one of them"));
                }
                rate = Some((key.clone(), at_least_one(&option.value)?));
            } else if key == "burst" {
                burst = Some(at_least_one(&option.value)?);
            } else if key == "by" {
                by = Some(Self::by(&option.value)?);
            } else {
                return Err(syn::Error::new_spanned(key, hint));
            }
        }
        let (per, count) = rate.ok_or_else(|| syn::Error::new_spanned(attribute, hint))?;
        Ok(Self { per, count, burst, by })
    }

    fn by(value: &Expr) -> syn::Result<Ident> {
        let known = [("connection", "Connection"), ("user", "User"), ("address", "Address")];
        let written = value.to_token_stream().to_string();
        let found = known.iter().find(|(name, _)| *name == written);
        let message =
            "calls are counted by `connection`, `user` or `address`: write one of them, without quotes";
        let (_, variant) = found.ok_or_else(|| syn::Error::new_spanned(value, message))?;
        Ok(Ident::new(variant, Span::call_site()))
    }
}

/// A number that is written out, and not zero.
fn at_least_one(value: &Expr) -> syn::Result<LitInt> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(int), .. })
            if int.base10_parse::<u32>().is_ok_and(|number| number > 0) && int.suffix().is_empty() =>
        {
            Ok(int.clone())
        }
        other => {
            let message =
                "write a whole number of at least 1; rarer than once a second is `per_minute` or `per_hour`";
            Err(syn::Error::new_spanned(other, message))
        }
    }
}

/// A mark that says all by being there.
fn alone(mark: &Attribute, name: &str) -> syn::Result<()> {
    match &mark.meta {
        Meta::Path(_) => Ok(()),
        _ => {
            Err(syn::Error::new_spanned(mark, format!("there is nothing to say about it: write `#[{name}]`")))
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
        other => {
            let message = format!("write it in quotes: `\"{}\"`", other.to_token_stream());
            Err(syn::Error::new_spanned(other, message))
        }
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
    name: Option<LitStr>,
    case: Case,
}

impl Arguments {
    fn parse(arguments: TokenStream) -> syn::Result<Self> {
        let mut parsed = Self::default();
        let metas = syn::parse::Parser::parse2(Punctuated::<Meta, Token![,]>::parse_terminated, arguments)?;
        for meta in metas {
            match &meta {
                Meta::NameValue(option) if option.path.is_ident("name") => {
                    parsed.name = Some(string(&option.value)?);
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
