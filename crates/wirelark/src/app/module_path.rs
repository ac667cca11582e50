//! Paths of handlers that are served where they stand in the source.

/// The path of a handler under `#[socket]`, from the path of the module the macro made for it:
/// `my_crate::workers::shell::terminal` becomes `/_socket/workers/shell/terminal`.
pub fn socket_path(module: &str) -> String {
    let (_crate, inside) = module.split_once("::").unwrap_or(("", module));
    format!("/_socket/{}", inside.replace("::", "/").replace("r#", ""))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_crates_name_is_left_out() {
        assert_eq!(super::socket_path("app::workers::shell::terminal"), "/_socket/workers/shell/terminal");
        assert_eq!(super::socket_path("app::ping"), "/_socket/ping");
        assert_eq!(super::socket_path("app::r#loop::r#match"), "/_socket/loop/match");
    }
}
