//! The attribute macros of Wirelark.

use proc_macro::TokenStream;
use quote::{format_ident, quote};
use syn::{ItemFn, parse_macro_input};

/// Serves an async function at a path made of its module and its name.
///
/// A function `terminal` in the module `workers::shell` of a crate is served at
/// `/_socket/workers/shell/terminal`; one in the crate's root at `/_socket/terminal`. The function stays
/// what it was; beside it stands a module of the same name with `PATH` and `route`:
///
/// ```ignore
/// mod demo {
///     #[wirelark::socket]
///     pub async fn ping(mut socket: wirelark::Socket) -> wirelark::Result {
///         while socket.recv().await.is_some() {
///             socket.send("pong").await?;
///         }
///         Ok(())
///     }
/// }
///
/// let app = App::new().socket(demo::ping::path(), demo::ping);
/// ```
#[proc_macro_attribute]
pub fn socket(arguments: TokenStream, item: TokenStream) -> TokenStream {
    if !arguments.is_empty() {
        let message =
            "`#[socket]` takes no arguments: the path follows from the module and the function's name";
        return syn::Error::new(proc_macro2::Span::call_site(), message).to_compile_error().into();
    }
    let function = parse_macro_input!(item as ItemFn);
    if function.sig.asyncness.is_none() {
        let message = "a socket handler is an `async fn`";
        return syn::Error::new_spanned(function.sig.fn_token, message).to_compile_error().into();
    }
    let visibility = &function.vis;
    let name = &function.sig.ident;
    let text = name.to_string();
    let text = text.trim_start_matches("r#");
    let path = format_ident!("{}", name);
    quote! {
        #function

        #[doc = concat!("Where [`", #text, "`](fn@", #text, ") is served.")]
        #[allow(non_snake_case)]
        #visibility mod #path {
            /// The path of the function beside this module, made of its module and its name.
            pub fn path() -> &'static str {
                static PATH: ::std::sync::OnceLock<::std::string::String> = ::std::sync::OnceLock::new();
                PATH.get_or_init(|| ::wirelark::socket_path(::std::module_path!()))
            }
        }
    }
    .into()
}
