//! What a contract gives those who call it: the typed client, and what tests talk to. Both are wrapped in macros of
//! `wirelark`, which drop them where the feature is off: a macro cannot ask for features of another crate.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, format_ident, quote};
use syn::{Ident, Type};

use super::declaration::{Argument, Body, Call, Contract, Push};

/// The functions a client has besides those of calls and pushes.
const OWN: [&str; 4] = ["builder", "client", "connect", "on_gap"];

impl Contract {
    pub(super) fn client(&self) -> TokenStream {
        if let Err(error) = self.check_client() {
            return error.into_compile_error();
        }
        let client = self.client_type();
        let tester = self.tester_type();
        quote! {
            ::wirelark::__contract_client! { #client }
            ::wirelark::__contract_tester! { #tester }
        }
    }

    /// Functions of the client are calls, and a few of its own.
    fn check_client(&self) -> syn::Result<()> {
        let of_pushes: Vec<_> = self
            .pushes
            .iter()
            .flat_map(|push| [prefixed("on", &push.ident), prefixed("wait_for", &push.ident)])
            .collect();
        let taken = |function: &Ident, ident: &Ident| {
            let message = format!(
                "`{function}` is a function of the client already: give the function another name and write \
                 `#[name = \"{ident}\"]` above it"
            );
            Err(syn::Error::new_spanned(ident, message))
        };
        for Push { ident, .. } in &self.pushes {
            let on = prefixed("on", ident);
            if OWN.iter().any(|own| on == own) {
                return taken(&on, ident);
            }
        }
        for Call { ident, .. } in &self.calls {
            if OWN.iter().any(|own| ident == own) || of_pushes.contains(ident) {
                return taken(ident, ident);
            }
        }
        Ok(())
    }

    fn client_type(&self) -> TokenStream {
        let Self { ident, visibility, .. } = self;
        let client = format_ident!("{ident}Client");
        let calls = self.calls.iter().map(|call| self.call_method(call));
        let pushes = self.pushes.iter().map(|push| self.push_methods(push));
        let about = format!(
            "A client of the contract [`{ident}`]: a function for each call, and two for each push, `on_..` and \
             `wait_for_..`. Cheap to clone; what a [`Client`](::wirelark::client::Client) promises holds for it too."
        );
        quote! {
            #[doc = #about]
            #[allow(dead_code, reason = "an app need not use what is made for it")]
            #[derive(Clone, Debug)]
            #visibility struct #client(::wirelark::client::Client);

            #[allow(dead_code, clippy::unused_unit, reason = "an app need not use every function, and a push may have no arguments")]
            impl #client {
                /// Connects to a server of the contract. A client that is to go on trying if there is none comes from
                /// [`builder`](Self::builder).
                ///
                /// # Errors
                /// The address cannot be used, or the attempt failed.
                #visibility async fn connect(
                    url: &str,
                ) -> ::std::result::Result<Self, ::wirelark::client::ConnectError> {
                    Self::builder(url).connect().await
                }

                /// A client of the server at `url`, with options.
                #visibility fn builder(url: &str) -> ::wirelark::client::Builder<Self> {
                    ::wirelark::client::Client::builder(url).contract::<#ident>()
                }

                /// The client without the contract's types, for all that is the same in every contract: its status,
                /// and how it is closed.
                #visibility fn client(&self) -> &::wirelark::client::Client {
                    &self.0
                }

                /// Listens to what this client missed because it read too slowly, until the subscription is dropped;
                /// see [`Client::on_gap`](::wirelark::client::Client::on_gap).
                #visibility fn on_gap(
                    &self,
                    handler: impl ::std::ops::FnMut(::wirelark::client::Gap) + ::std::marker::Send + 'static,
                ) -> ::wirelark::client::Subscription {
                    self.0.on_gap(handler)
                }

                #(#calls)*
                #(#pushes)*
            }

            impl ::std::convert::From<::wirelark::client::Client> for #client {
                fn from(client: ::wirelark::client::Client) -> Self {
                    Self(client)
                }
            }

            impl ::std::convert::AsRef<::wirelark::client::Client> for #client {
                fn as_ref(&self) -> &::wirelark::client::Client {
                    &self.0
                }
            }

            impl ::wirelark::client::HasClient for #ident {
                type Client = #client;
            }
        }
    }

    fn call_method(&self, call: &Call) -> TokenStream {
        let Call { ident, name, documentation, body, output, .. } = call;
        let visibility = &self.visibility;
        let arguments = body.arguments().iter().map(|Argument { ident, ty, .. }| {
            if is_string(ty) { quote!(#ident: impl ::std::convert::Into<#ty>) } else { quote!(#ident: #ty) }
        });
        let owned = |argument: &Argument| {
            let Argument { ident, ty, .. } = argument;
            if is_string(ty) {
                quote!(::std::convert::Into::<#ty>::into(#ident))
            } else {
                ident.to_token_stream()
            }
        };
        let (value, writable) = match body {
            Body::Fields(arguments) => {
                let (body, names) =
                    (self.body_ident(ident), arguments.iter().map(|argument| &argument.ident));
                let values = arguments.iter().map(owned);
                (quote!(#body { #(#names: #values),* }), None)
            }
            Body::Whole(argument) => {
                let ty = &argument.ty;
                (owned(argument), Some(quote!(for<'__body> #ty: ::wirelark::__private::serde::Serialize,)))
            }
        };
        // Bounds that are higher-ranked are not judged before the function is called: a contract whose types only a
        // server can read or write compiles, and its client says what is missing.
        let (output, readable) = match &output.value {
            Some(ty) => (
                ty.to_token_stream(),
                Some(quote!(for<'__body> #ty: ::wirelark::__private::serde::Deserialize<'__body>,)),
            ),
            None => (quote!(()), None),
        };
        let send = match call.kind {
            super::declaration::CallKind::Send => quote!(send),
            _ => quote!(call),
        };
        quote! {
            #[doc = #documentation]
            #visibility async fn #ident(
                &self,
                #(#arguments),*
            ) -> ::std::result::Result<#output, ::wirelark::client::CallError>
            where
                #writable
                #readable
            {
                let body = #value;
                self.0.#send(#name, &body).await
            }
        }
    }

    fn push_methods(&self, push: &Push) -> TokenStream {
        let Push { ident, name, documentation, body, .. } = push;
        let visibility = &self.visibility;
        let (on, wait_for) = (prefixed("on", ident), prefixed("wait_for", ident));
        let PushTypes { body, arguments, fields, references, types, output } = self.push_types(ident, body);
        let readable = arguments
            .then(|| quote!(where for<'__body> #body: ::wirelark::__private::serde::Deserialize<'__body>));
        let on_about = format!("Listens to `{ident}`, until the subscription is dropped.");
        let wait_about =
            format!("Waits for the next `{ident}` for which `predicate` is true, at most `within`.");
        quote! {
            #[doc = #documentation]
            #[doc = ""]
            #[doc = #on_about]
            #visibility fn #on(
                &self,
                mut handler: impl ::std::ops::FnMut(#(#types),*) + ::std::marker::Send + 'static,
            ) -> ::wirelark::client::Subscription
            #readable
            {
                self.0.on(#name, move |body: #body| {
                    let _ = &body;
                    handler(#(#fields),*)
                })
            }

            #[doc = #documentation]
            #[doc = ""]
            #[doc = #wait_about]
            ///
            /// # Errors
            /// It did not come in time, or the client was closed first.
            #visibility fn #wait_for(
                &self,
                within: ::std::time::Duration,
                mut predicate: impl ::std::ops::FnMut(#(&#types),*) -> bool + ::std::marker::Send + 'static,
            ) -> impl ::std::future::Future<
                Output = ::std::result::Result<#output, ::wirelark::client::WaitError>,
            > + ::std::marker::Send + 'static
            #readable
            {
                let waiting = self.0.wait_for(#name, within, move |body: &#body| {
                    let _ = body;
                    predicate(#(#references),*)
                });
                async move {
                    let body: #body = waiting.await?;
                    let _ = &body;
                    ::std::result::Result::Ok((#(#fields),*))
                }
            }
        }
    }

    fn tester_type(&self) -> TokenStream {
        let Self { ident, visibility, .. } = self;
        let (client, tester) = (format_ident!("{ident}Client"), format_ident!("{ident}Tester"));
        let listening = self.pushes.iter().map(|push| {
            let (name, body) = (&push.name, self.push_types(&push.ident, &push.body).body);
            quote!(inbox.listen::<#body>(client.client(), #name);)
        });
        let expects = self.pushes.iter().map(|push| self.expect_method(push));
        let about = format!(
            "A [`{client}`] for tests, from [`Connecting::contract`](::wirelark::testing::Connecting::contract): it \
             keeps every push until a test expects it."
        );
        quote! {
            #[doc = #about]
            #[allow(dead_code, reason = "an app need not use what is made for it")]
            #[derive(Debug)]
            #visibility struct #tester {
                client: #client,
                inbox: ::wirelark::testing::Inbox,
            }

            #[allow(dead_code, clippy::unused_unit, reason = "an app need not use every function, and a push may have no arguments")]
            impl #tester {
                /// The first gap that was not expected yet and for which `predicate` is true. Others stay for later.
                ///
                /// # Panics
                /// If it does not come in time, with what came instead.
                #visibility async fn expect_gap(
                    &self,
                    predicate: impl ::std::ops::FnMut(&::wirelark::client::Gap) -> bool,
                ) -> ::wirelark::client::Gap {
                    self.inbox.expect(::wirelark::client::Gap::EVENT, predicate).await
                }

                #(#expects)*
            }

            impl ::std::ops::Deref for #tester {
                type Target = #client;

                fn deref(&self) -> &#client {
                    &self.client
                }
            }

            impl ::wirelark::testing::HasTester for #ident {
                type Tester = #tester;

                fn tester(client: #client, mut inbox: ::wirelark::testing::Inbox) -> #tester {
                    #(#listening)*
                    inbox.listen::<::wirelark::client::Gap>(client.client(), ::wirelark::client::Gap::EVENT);
                    #tester { client, inbox }
                }
            }
        }
    }

    fn expect_method(&self, push: &Push) -> TokenStream {
        let Push { ident, name, documentation, body, .. } = push;
        let visibility = &self.visibility;
        let expect = prefixed("expect", ident);
        let PushTypes { body, fields, references, types, output, .. } = self.push_types(ident, body);
        let about = format!(
            "The first `{ident}` that was not expected yet and for which `predicate` is true. Others stay for later."
        );
        quote! {
            #[doc = #documentation]
            #[doc = ""]
            #[doc = #about]
            ///
            /// # Panics
            /// If it does not come in time, with what came instead.
            #visibility async fn #expect(
                &self,
                mut predicate: impl ::std::ops::FnMut(#(&#types),*) -> bool,
            ) -> #output {
                let body: #body = self
                    .inbox
                    .expect(#name, |body: &#body| {
                        let _ = body;
                        predicate(#(#references),*)
                    })
                    .await;
                let _ = &body;
                (#(#fields),*)
            }
        }
    }

    fn push_types(&self, ident: &Ident, body: &Body) -> PushTypes {
        let types: Vec<_> = body.arguments().iter().map(|argument| argument.ty.to_token_stream()).collect();
        let output = quote!((#(#types),*));
        match body {
            Body::Fields(arguments) => {
                let names: Vec<_> = arguments.iter().map(|argument| &argument.ident).collect();
                PushTypes {
                    body: self.body_ident(ident).to_token_stream(),
                    arguments: false,
                    fields: names.iter().map(|name| quote!(body.#name)).collect(),
                    references: names.iter().map(|name| quote!(&body.#name)).collect(),
                    types,
                    output,
                }
            }
            Body::Whole(argument) => PushTypes {
                body: argument.ty.to_token_stream(),
                arguments: true,
                fields: vec![quote!(body)],
                references: vec![quote!(body)],
                types,
                output,
            },
        }
    }
}

/// A push's body, as one value and as its arguments.
struct PushTypes {
    body: TokenStream,
    /// Whether the body is a type of the author's own, of which nobody knows whether it can be read.
    arguments: bool,
    fields: Vec<TokenStream>,
    references: Vec<TokenStream>,
    types: Vec<TokenStream>,
    /// What the arguments are together: nothing, the one, or a tuple.
    output: TokenStream,
}

/// Whether callers may pass anything that becomes a `String`, as most of them write a literal.
fn is_string(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.qself.is_none() && path.path.segments.last().is_some_and(|last| last.ident == "String"))
}

/// `on_posted` of `posted`, and of `r#match` `on_match`.
fn prefixed(prefix: &str, ident: &Ident) -> Ident {
    format_ident!("{}_{}", prefix, ident)
}
