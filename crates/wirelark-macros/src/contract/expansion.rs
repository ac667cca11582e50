//! What a contract expands to: calls of the public builder, as one would write them by hand.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{Attribute, Ident};

use super::declaration::{Argument, Body, Call, CallKind, Contract, Delivery, Push, Rate, Requirements};
use super::names::Case;

impl Contract {
    pub(crate) fn expand(&self) -> TokenStream {
        let bodies = self.calls.iter().map(|call| self.body_type(&call.ident, &call.body));
        let push_bodies = self.pushes.iter().map(|push| self.body_type(&push.ident, &push.body));
        let description = self.description();
        let server = self.server();
        let functions = self.functions();
        let client = self.client();
        quote! {
            #(#bodies)*
            #(#push_bodies)*
            #description
            #server
            #functions
            #client
        }
    }

    /// The struct whose fields are the arguments of a call or a push. None where an argument is the body.
    fn body_type(&self, function: &Ident, body: &Body) -> Option<TokenStream> {
        let Body::Fields(arguments) = body else { return None };
        let ident = self.body_ident(function);
        let visibility = &self.visibility;
        let fields =
            arguments.iter().map(|Argument { ident, ty, attributes }| quote!(#(#attributes)* #ident: #ty));
        let validated = is_validated(arguments).then(|| {
            quote! {
                #[derive(::garde::Validate)]
                #[garde(allow_unvalidated)]
            }
        });
        let case = (self.case == Case::Camel).then(|| quote!(#[serde(rename_all = "camelCase")]));
        Some(quote! {
            #[doc(hidden)]
            #[derive(
                ::wirelark::__private::serde::Serialize,
                ::wirelark::__private::serde::Deserialize,
                ::wirelark::__private::schemars::JsonSchema,
            )]
            #validated
            #[serde(crate = "::wirelark::__private::serde")]
            #[schemars(crate = "::wirelark::__private::schemars")]
            #case
            #[allow(non_camel_case_types, missing_debug_implementations, reason = "nobody sees this type; its name must meet no other")]
            #visibility struct #ident { #(#fields),* }
        })
    }

    pub(super) fn body_ident(&self, function: &Ident) -> Ident {
        format_ident!("__{}_{}", self.ident, function)
    }

    fn description(&self) -> TokenStream {
        let Self { ident, name, documentation, visibility, attributes, .. } = self;
        let calls = self.calls.iter().map(|call| {
            let Call { name, documentation, .. } = call;
            let body = self.body_of(&call.ident, &call.body);
            let described = match (call.kind, &call.output.value) {
                (CallKind::Send, _) => quote!(.send::<#body>(#name, #documentation)),
                (CallKind::Reply, Some(output)) => quote!(.call::<#body, #output>(#name, #documentation)),
                (CallKind::Reply | CallKind::Ack, _) => quote!(.ack::<#body>(#name, #documentation)),
            };
            let Requirements { scopes, roles } = &call.requirements;
            quote!(#described #(.require_scope(#scopes))* #(.require_role(#roles))*)
        });
        let rates = self.calls.iter().filter_map(|Call { name, rate, .. }| {
            let Rate { per, count, burst, by } = rate.as_ref()?;
            let burst = burst.as_ref().map(|burst| quote!(.burst(#burst)));
            let by = by.as_ref().map(|by| quote!(.by(::wirelark::contract::RateBy::#by)));
            Some(quote!(.rate(#name, ::wirelark::Rate::#per(#count) #burst #by)))
        });
        let pushes = self.pushes.iter().map(|push| {
            let Push { name, documentation, .. } = push;
            let body = self.body_of(&push.ident, &push.body);
            let delivery = match &push.delivery {
                Delivery::Reliable => quote!(Reliable),
                Delivery::Conflate(_) => quote!(Conflate),
                Delivery::DropOldest => quote!(DropOldest),
                Delivery::Sample(rate) => {
                    let rate = Literal::f32_suffixed(*rate);
                    quote!(Sample { per_second: #rate })
                }
            };
            quote!(.push::<#body>(#name, #documentation, ::wirelark::contract::Delivery::#delivery))
        });
        let attributes = attributes.iter().filter(|attribute| !is_ours(attribute));
        quote! {
            #(#attributes)*
            #[derive(Clone, Copy, Debug)]
            #visibility struct #ident;

            impl ::wirelark::contract::Contract for #ident {
                fn describe() -> &'static ::wirelark::contract::Description {
                    static DESCRIPTION: ::std::sync::OnceLock<::wirelark::contract::Description> =
                        ::std::sync::OnceLock::new();
                    DESCRIPTION.get_or_init(|| {
                        ::wirelark::contract::Description::new(#name)
                            .documentation(#documentation)
                            #(#calls)*
                            #(#rates)*
                            #(#pushes)*
                    })
                }
            }
        }
    }

    fn server(&self) -> TokenStream {
        let Self { ident, visibility, .. } = self;
        let server = format_ident!("{ident}Server");
        let session = quote!(::wirelark::contract::Session<#ident, Self::Data>);
        let calls = self.calls.iter().map(|call| {
            let Call { ident, documentation, output, .. } = call;
            let arguments =
                call.body.arguments().iter().map(|Argument { ident, ty, .. }| quote!(#ident: #ty));
            let output = output.written.as_ref().map_or_else(|| quote!(()), ToTokens::to_token_stream);
            quote! {
                #[doc = #documentation]
                fn #ident(
                    &self,
                    session: #session,
                    #(#arguments),*
                ) -> impl ::std::future::Future<Output = #output> + ::std::marker::Send;
            }
        });
        let about = format!("Serves the contract [`{ident}`]. Each function may be an `async fn`.");
        let data = "What the app keeps about a session: made from the upgrade request before the 101, by the \
                    extractors it is made of. If one of them fails the upgrade is refused with its answer. `()` is \
                    nothing.";
        let attached = "Runs before the session's first message, when its peers can already see it. An error is \
                        reported and changes nothing.";
        let closed = "Runs after the session's last message, while its peers still see it, for at most the route's \
                      close timeout. An error is reported and changes nothing.";
        let hooks = [("attached", attached), ("closed", closed)].map(|(hook, about)| {
            let hook = format_ident!("{hook}");
            quote! {
                #[doc = #about]
                fn #hook(
                    &self,
                    session: #session,
                ) -> impl ::std::future::Future<Output = ::wirelark::Result> + ::std::marker::Send {
                    let _ = session;
                    ::std::future::ready(::std::result::Result::Ok(()))
                }
            }
        });
        quote! {
            #[doc = #about]
            #visibility trait #server: ::std::marker::Send + ::std::marker::Sync + 'static {
                #[doc = #data]
                type Data: ::std::marker::Send + ::std::marker::Sync + 'static;

                #(#calls)*
                #(#hooks)*
            }
        }
    }

    /// `Chat::serve` and the functions that make pushes.
    fn functions(&self) -> TokenStream {
        let Self { ident, visibility, .. } = self;
        let server = format_ident!("{ident}Server");
        let calls = self.calls.iter().map(|call| self.registration(call));
        let pushes = self.pushes.iter().map(|push| self.push_function(push));
        let about = "A server of the contract, for [`App::contract`](::wirelark::App::contract).";
        quote! {
            impl #ident {
                #[doc = #about]
                #visibility fn serve<T: #server>(
                    server: T,
                ) -> ::wirelark::contract::ContractBuilder<#ident, T, T::Data> {
                    let calls = ::wirelark::contract::Calls::new()
                        #(#calls)*
                        .attached(|server: ::std::sync::Arc<T>, session| async move { server.attached(session).await })
                        .closed(|server: ::std::sync::Arc<T>, session| async move { server.closed(session).await });
                    ::wirelark::contract::serve(server, calls)
                }

                #(#pushes)*
            }
        }
    }

    fn registration(&self, call: &Call) -> TokenStream {
        let Call { ident, name, body, kind, output, .. } = call;
        let register = match kind {
            CallKind::Reply => format_ident!("call"),
            CallKind::Ack => format_ident!("ack"),
            CallKind::Send => format_ident!("send"),
        };
        let body_type = self.body_of(ident, body);
        let (input, pattern) = match body {
            Body::Fields(arguments) if is_validated(arguments) => {
                (quote!(::wirelark::contract::Valid<#body_type>), quote!(::wirelark::contract::Valid(body)))
            }
            _ => (body_type, quote!(body)),
        };
        let arguments = body.arguments().iter().map(|argument| &argument.ident);
        let values: Vec<_> = match body {
            Body::Fields(_) => arguments.map(|argument| quote!(body.#argument)).collect(),
            Body::Whole(_) => vec![quote!(body)],
        };
        let unused = values.is_empty().then(|| quote!(let _ = body;));
        let call = quote!(server.#ident(session, #(#values),*).await);
        let call = if output.fallible {
            call
        } else {
            quote!(::std::result::Result::<_, ::std::convert::Infallible>::Ok(#call))
        };
        quote! {
            .#register(#name, |server: ::std::sync::Arc<T>, session, #pattern: #input| async move {
                #unused
                #call
            })
        }
    }

    fn push_function(&self, push: &Push) -> TokenStream {
        let Push { ident, name, documentation, body, delivery, .. } = push;
        let Self { ident: contract, visibility, .. } = self;
        let arguments = body.arguments().iter().map(|Argument { ident, ty, .. }| quote!(#ident: #ty));
        let names = body.arguments().iter().map(|argument| &argument.ident);
        let value = match body {
            Body::Fields(_) => {
                let body = self.body_ident(ident);
                quote!(#body { #(#names),* })
            }
            Body::Whole(argument) => argument.ident.to_token_stream(),
        };
        let (key, keyed) = match delivery {
            Delivery::Conflate(keys) => (
                // A name no argument has.
                Some(quote!(let __push_key = ::wirelark::contract::PushKey::of(&(#(&#keys,)*));)),
                Some(quote!(.key(__push_key))),
            ),
            _ => (None, None),
        };
        quote! {
            #[doc = #documentation]
            #visibility fn #ident(#(#arguments),*) -> ::wirelark::contract::Push<#contract> {
                #key
                ::wirelark::contract::Push::new(#name, #value) #keyed
            }
        }
    }

    /// The type of a body.
    fn body_of(&self, function: &Ident, body: &Body) -> TokenStream {
        match body {
            Body::Fields(_) => self.body_ident(function).to_token_stream(),
            Body::Whole(argument) => argument.ty.to_token_stream(),
        }
    }
}

/// Whether `garde` has something to say about one of the arguments.
fn is_validated(arguments: &[Argument]) -> bool {
    arguments
        .iter()
        .flat_map(|argument| &argument.attributes)
        .any(|attribute| attribute.path().is_ident("garde"))
}

fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().is_ident("contract")
}
