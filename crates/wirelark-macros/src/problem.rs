//! `#[derive(Problem)]`: which of a handler's errors the client may see, and with what code and data.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{
    Attribute, Data, DeriveInput, Expr, ExprLit, Field, Fields, Ident, Lit, LitStr, Member, Meta, Token,
};

/// An error type, as it was declared.
pub(crate) struct Problems {
    input: DeriveInput,
    variants: Vec<Variant>,
}

/// A variant of an enum, or the one shape of a struct.
struct Variant {
    /// How it is written in a pattern: `PostError::Empty`, or the struct's name.
    path: TokenStream,
    shown: Shown,
}

/// What the client gets.
enum Shown {
    Problem {
        code: String,
        data: Vec<Member>,
    },
    /// A constant text, while the error itself goes to the log.
    Internal,
}

impl Problems {
    pub(crate) fn parse(input: DeriveInput) -> syn::Result<Self> {
        let name = &input.ident;
        let variants = match &input.data {
            Data::Struct(data) => {
                let shown = Shown::parse(name, &input.attrs, &data.fields)?;
                vec![Variant { path: quote!(#name), shown }]
            }
            Data::Enum(data) => {
                if let Some(attribute) = input.attrs.iter().find(|it| it.path().is_ident("problem")) {
                    let message = "write `#[problem(..)]` above the variants: each is a problem of its own";
                    return Err(syn::Error::new_spanned(attribute, message));
                }
                let variants = data.variants.iter().map(|variant| {
                    let ident = &variant.ident;
                    let shown = Shown::parse(ident, &variant.attrs, &variant.fields)?;
                    Ok(Variant { path: quote!(#name::#ident), shown })
                });
                variants.collect::<syn::Result<_>>()?
            }
            Data::Union(data) => {
                let message = "a union does not say what it holds: derive this for a struct or an enum";
                return Err(syn::Error::new_spanned(data.union_token, message));
            }
        };
        Ok(Self { input, variants })
    }

    /// Errors that are all for clients turn into a `Problem` anywhere; where some are not, only the call they end
    /// can tell what the log gets.
    pub(crate) fn expand(&self) -> TokenStream {
        let ident = &self.input.ident;
        let (generics, arguments, bounds) = self.input.generics.split_for_impl();
        let problems: Vec<_> = self.variants.iter().filter_map(Variant::problem).collect();
        let message =
            (!problems.is_empty()).then(|| quote!(let message = ::std::string::ToString::to_string(&error);));
        if problems.len() == self.variants.len() {
            let problem = quote!(::wirelark::contract::Problem);
            let arms = problems.iter().map(|(pattern, problem)| quote!(#pattern => #problem));
            return quote! {
                impl #generics ::core::convert::From<#ident #arguments> for #problem #bounds {
                    fn from(error: #ident #arguments) -> Self {
                        #message
                        match error { #(#arms,)* }
                    }
                }
            };
        }
        let arms = self.variants.iter().map(|variant| match variant.problem() {
            Some((pattern, problem)) => {
                quote!(#pattern => ::wirelark::contract::IntoFailure::into_failure(#problem))
            }
            None => {
                let path = &variant.path;
                quote! {
                    internal @ #path { .. } => ::wirelark::contract::IntoFailure::into_failure(
                        ::wirelark::Error::from(internal),
                    )
                }
            }
        });
        quote! {
            impl #generics ::wirelark::contract::IntoFailure for #ident #arguments #bounds {
                fn into_failure(self) -> ::wirelark::contract::FailureOf {
                    let error = self;
                    #message
                    match error { #(#arms,)* }
                }
            }
        }
    }
}

impl Variant {
    /// The pattern that takes the variant apart, and the problem made of its parts and `message`.
    fn problem(&self) -> Option<(TokenStream, TokenStream)> {
        let Shown::Problem { code, data } = &self.shown else { return None };
        let path = &self.path;
        let names: Vec<Ident> = data.iter().map(binding).collect();
        let pattern = quote!(#path { #(#data: #names,)* .. });
        let problem = quote!(::wirelark::contract::Problem::new(message).code(#code));
        let problem = match data.as_slice() {
            [] => problem,
            [Member::Unnamed(_)] => quote!(#problem.data(#(#names)*)),
            named => {
                let fields = named.iter();
                let types: Vec<Ident> = (0..named.len()).map(|at| format_ident!("T{at}")).collect();
                quote! {{
                    #[derive(::wirelark::__private::serde::Serialize)]
                    #[serde(crate = "::wirelark::__private::serde")]
                    struct Data<#(#types),*> { #(#fields: #types),* }
                    #problem.data(Data { #(#named: #names),* })
                }}
            }
        };
        Some((pattern, problem))
    }
}

/// What a field is called in the pattern; a tuple's has no name of its own.
fn binding(member: &Member) -> Ident {
    match member {
        Member::Named(name) => format_ident!("__{}", name),
        Member::Unnamed(index) => format_ident!("__{}", index.index),
    }
}

impl Shown {
    fn parse(ident: &Ident, attributes: &[Attribute], fields: &Fields) -> syn::Result<Self> {
        let mut code = None;
        let mut internal = None;
        for meta in arguments(attributes)? {
            match &meta {
                Meta::NameValue(pair) if pair.path.is_ident("code") => code = Some(text(&pair.value)?),
                Meta::Path(path) if path.is_ident("internal") => internal = Some(path.span()),
                other => {
                    let message = "write `code = \"..\"` or `internal`";
                    return Err(syn::Error::new_spanned(other, message));
                }
            }
        }
        let data = data(fields)?;
        match (internal, &code, data.first()) {
            (None, ..) => Ok(Self::Problem {
                code: code.unwrap_or_else(|| screaming(&ident.to_string())),
                data: data.into_iter().map(|(member, _)| member).collect(),
            }),
            (Some(_), None, None) => Ok(Self::Internal),
            (Some(_), Some(_), _) => {
                let message = "an internal error has no code: the client learns nothing of it";
                Err(syn::Error::new(ident.span(), message))
            }
            (Some(_), None, Some((_, span))) => {
                let message = "an internal error has no data: the client learns nothing of it";
                Err(syn::Error::new(*span, message))
            }
        }
    }
}

/// The fields marked `#[problem(data)]`.
fn data(fields: &Fields) -> syn::Result<Vec<(Member, Span)>> {
    let mut marked = Vec::new();
    for (member, field) in fields.members().zip(fields) {
        if is_data(field)? {
            if matches!((&member, marked.last()), (Member::Unnamed(_), Some(_))) {
                let message =
                    "fields without names cannot be told apart: mark one of them, or give them names";
                return Err(syn::Error::new_spanned(field, message));
            }
            marked.push((member, field.span()));
        }
    }
    Ok(marked)
}

fn is_data(field: &Field) -> syn::Result<bool> {
    let mut is_data = false;
    for meta in arguments(&field.attrs)? {
        match &meta {
            Meta::Path(path) if path.is_ident("data") => is_data = true,
            other => return Err(syn::Error::new_spanned(other, "write `data`")),
        }
    }
    Ok(is_data)
}

fn arguments(attributes: &[Attribute]) -> syn::Result<Vec<Meta>> {
    let mut all = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("problem")) {
        all.extend(attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?);
    }
    Ok(all)
}

fn text(value: &Expr) -> syn::Result<String> {
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = value else {
        return Err(syn::Error::new_spanned(value, "write the code as text: `code = \"NOT_FOUND\"`"));
    };
    if LitStr::value(text).is_empty() {
        return Err(syn::Error::new_spanned(text, "a code says something: programs compare it"));
    }
    Ok(text.value())
}

/// `NotAMember` as `NOT_A_MEMBER`.
fn screaming(camel: &str) -> String {
    let mut screaming = String::with_capacity(camel.len() + 4);
    for letter in camel.trim_start_matches("r#").chars() {
        if letter.is_uppercase() && !screaming.is_empty() {
            screaming.push('_');
        }
        screaming.extend(letter.to_uppercase());
    }
    screaming
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_its_code() {
        for (camel, code) in [("Empty", "EMPTY"), ("NotAMember", "NOT_A_MEMBER"), ("TooLong2", "TOO_LONG2")] {
            assert_eq!(screaming(camel), code);
        }
    }
}
