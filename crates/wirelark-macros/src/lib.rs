//! The macros of Wirelark.

mod contract;
mod problem;

use proc_macro::TokenStream;
use quote::{format_ident, quote};
use syn::{DeriveInput, ItemFn, ItemTrait, parse_macro_input};

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

/// Makes a contract of a trait: the calls a server takes and the pushes its clients get.
///
/// ```ignore
/// #[wirelark::contract]
/// pub trait Chat {
///     /// Post a message to the room.
///     async fn post(&self, text: String) -> Result<Message, PostError>;
///     /// The caller is typing.
///     #[send]
///     async fn typing(&self);
///     /// Somebody posted.
///     #[push]
///     fn posted(message: Message);
///     /// Under back-pressure only the latest of each id is kept.
///     #[push(conflate = id)]
///     fn moved(id: u32, x: f32, y: f32);
/// }
/// ```
///
/// Arguments are the named fields of the body; one marked `#[body]` is the whole body. Attributes of arguments
/// (`#[serde(default)]`, `#[garde(length(max = 100))]`, `#[schemars(..)]`) are those of the field.
///
/// | function | on the wire |
/// |---|---|
/// | `async fn(&self, ..) -> Result<T, E>`, or `-> T` | a call that is answered with a `T` |
/// | `async fn(&self, ..) -> Result<(), E>`, or nothing | a call that is answered, without a body |
/// | `#[send] async fn(&self, ..)` | a call that is answered only if it fails |
/// | `#[rate(per_second = 5)]` above a call or a send | more often than that it is answered with the code `RATE_LIMITED`, and does not run; also `per_minute`, `per_hour`, `burst = 10` and `by = user` or `address` |
/// | `#[push] fn(..)` | a push; `#[push(conflate = key)]`, `#[push(drop_oldest)]` and `#[push(sample = rate)]` say what happens while its receiver is behind |
///
/// `#[require(scope = "write")]` and `#[require(role = "editor")]` above a call say what its callers must have; who has not is
/// answered with an error of the code `FORBIDDEN`, or `UNAUTHORIZED` where nobody has signed in, and stays connected.
///
/// Names on the wire are those of Rust, `#[contract(rename_all = "camelCase")]` writes them and the fields as
/// JavaScript does, and `#[name = "other"]` above a function gives it another one.
///
/// It makes a type of the trait's name, `Chat`, with a function for each push (`Chat::posted(message)` is a
/// `Push<Chat>`) and `Chat::serve(server)`; and the trait `ChatServer` with an async function for each call, which
/// gets the caller's `Session` before its own arguments.
///
/// With the feature `client` it also makes `ChatClient`, with an async function for each call, and `on_posted` and
/// `wait_for_posted` for each push; and with the feature `testing` a `ChatTester`, which is such a client with
/// `expect_posted`. A client's functions take the arguments of the call; where one is a `String`, anything that becomes
/// one.
#[proc_macro_attribute]
pub fn contract(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemTrait);
    match contract::Contract::parse(arguments.into(), item) {
        Ok(contract) => contract.expand(),
        Err(error) => error.into_compile_error(),
    }
    .into()
}

/// Turns an error type of an application into a `Problem` that its calls may fail with.
///
/// ```ignore
/// #[derive(Debug, thiserror::Error, Problem)]
/// enum PostError {
///     #[error("say something")]
///     Empty,
///     #[error("at most {limit} characters")]
///     TooLong {
///         #[problem(data)]
///         limit: usize,
///     },
///     #[error("{0} is not a member")]
///     #[problem(code = "FORBIDDEN")]
///     Stranger(String),
///     #[error(transparent)]
///     #[problem(internal)]
///     Database(#[from] std::io::Error),
/// }
/// ```
///
/// The client gets the error's own text (its `Display`), a code and data:
///
/// | attribute | what it does |
/// |---|---|
/// | none | the code is the name of the variant: `TooLong` is `TOO_LONG` |
/// | `#[problem(code = "..")]` on a variant | another code |
/// | `#[problem(data)]` on fields | they are the data: an object of those with names, or the one without. Fields without the mark stay here |
/// | `#[problem(internal)]` on a variant | not for clients: they get a constant text and an id that stands in the log beside the error |
///
/// On a struct the attributes of a variant stand above it. A type without internal variants implements
/// `Into<Problem>`; one with them only `IntoFailure`, which is what a call may fail with, and must be an
/// [`Error`](std::error::Error) itself.
#[proc_macro_derive(Problem, attributes(problem))]
pub fn problem(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    match problem::Problems::parse(item) {
        Ok(problems) => problems.expand(),
        Err(error) => error.into_compile_error(),
    }
    .into()
}
