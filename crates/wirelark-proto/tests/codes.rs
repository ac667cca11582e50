//! The table of close codes.

use http::StatusCode;
use wirelark_proto::{Action, CloseCode, SentBy, table, table_markdown};

#[test]
fn exactly_the_codes_of_section_7_4_may_travel() {
    for code in 0..=u16::MAX {
        let expected = match code {
            1000..=1003 | 1007..=1011 => true,
            // Registered with IANA after the RFC.
            1012..=1014 => true,
            3000..=4999 => true,
            _ => false,
        };
        assert_eq!(CloseCode::new(code).is_allowed_on_wire(), expected, "{code}");
    }
}

#[test]
fn the_table_is_sorted_and_complete() {
    assert!(table().windows(2).all(|pair| pair[0].code < pair[1].code), "ascending, each code once");
    let mut names: Vec<_> = table().iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "each name once");
    for code in (1000..=1015).filter(|code| *code != 1004) {
        assert!(CloseCode::new(code).entry().is_some(), "{code} is registered");
    }
    for entry in table() {
        assert!(entry.meaning.ends_with(['.', ')']), "{} is a sentence", entry.name);
        assert_eq!(entry.sent_by == SentBy::Nobody, !entry.code.is_allowed_on_wire(), "{}", entry.name);
    }
}

#[test]
fn codes_say_what_a_client_should_do() {
    let check = |code: u16, action: Action, delay: bool| {
        let code = CloseCode::new(code);
        assert_eq!(
            (code.action(), code.entry().is_some_and(|entry| entry.delay)),
            (action, delay),
            "{code:?}"
        );
    };
    check(1000, Action::None, false);
    check(1001, Action::Reconnect, false);
    check(1002, Action::Stop, false);
    check(1006, Action::Reconnect, false);
    check(1008, Action::Stop, false);
    check(1011, Action::Reconnect, true);
    check(1012, Action::Reconnect, true);
    check(1013, Action::Reconnect, true);
    check(4400, Action::Stop, false);
    check(4401, Action::SignIn, false);
    check(4403, Action::Stop, false);
    check(4429, Action::Reconnect, true);
    check(3000, Action::None, false);
    check(4999, Action::None, false);
}

#[test]
fn refusals_have_twins() {
    let twins = [
        (400, 4400),
        (401, 4401),
        (403, 4403),
        (404, 4404),
        (405, 4400),
        (408, 4408),
        (409, 4409),
        (414, 4400),
        (418, 4400),
        (426, 4426),
        (429, 4429),
        (431, 4400),
        (500, 4500),
        (501, 4500),
        (502, 1014),
        (503, 1013),
        (504, 4504),
    ];
    for (status, code) in twins {
        let twin = CloseCode::twin_of(StatusCode::from_u16(status).unwrap());
        assert_eq!(twin.get(), code, "twin of {status}");
        assert!(twin.is_allowed_on_wire() && twin.entry().is_some());
    }
}

#[test]
fn the_page_has_a_line_for_each_code() {
    let page = table_markdown();
    assert_eq!(page.lines().count(), 2 + table().len());
    assert!(page.contains("| 1013 | `try_again` | "));
    assert!(page.lines().all(|line| line.starts_with("| ") || line.starts_with("|-")));
    assert!(page.lines().all(|line| line.matches('|').count() == 6), "no cell contains a bar");
}

#[test]
fn codes_print_themselves() {
    assert_eq!(format!("{} {:?}", CloseCode::POLICY, CloseCode::POLICY), "1008 CloseCode(1008 policy)");
    assert_eq!(format!("{:?}", CloseCode::new(4999)), "CloseCode(4999)");
    assert_eq!(u16::from(CloseCode::TLS), 1015);
}
