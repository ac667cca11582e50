//! Types of every shape serde knows, as arguments and results of calls and in pushes: what comes back over a live
//! connection is what was sent, in both formats.
//!
//! How each is written is the business of the codec's own tests; here a client and a server must agree on it.

#[path = "contract_types/contract.rs"]
mod contract;
#[path = "contract_types/shapes.rs"]
mod shapes;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;
use wirelark::App;
use wirelark::client::{CallError, Format};
use wirelark::contract::{BigInt, ReportKind};
use wirelark::testing::{ExpectError as _, Host};

use self::contract::{SAFE_MAX, Server, Shapes, ShapesTester, app};
use self::shapes::{
    Adjacent, Blob, Color, External, Flat, Internal, Maps, Meters, Optional, Page, Pair, Tree, Unit, Untagged,
};

async fn tester(host: &Host, format: Format) -> ShapesTester {
    let shapes = host.at("/shapes").protocols([format.subprotocol()]).contract::<Shapes>().await;
    assert_eq!(shapes.client().format(), format);
    shapes
}

/// Runs an async function of a [`ShapesTester`] in both formats.
macro_rules! in_each_format {
    ($($name:ident),+ $(,)?) => {
        mod json {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::in_format(super::Format::Json, super::$name).await;
                }
            )+
        }
        mod msgpack {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::in_format(super::Format::MsgPack, super::$name).await;
                }
            )+
        }
    };
}

in_each_format! {
    enums_of_every_tagging,
    generics_and_options,
    maps_with_keys_that_are_no_text,
    newtypes_tuples_and_units,
    values_in_values,
    bytes_text_and_characters,
    numbers_up_to_their_limits,
    numbers_beyond_what_a_client_could_hold,
    pushes,
}

async fn in_format(format: Format, test: impl AsyncFn(ShapesTester)) {
    let host = Host::new(app());
    test(tester(&host, format).await).await;
    host.close().await;
}

/// What came back is what was sent.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "nobody needs what was sent any more")]
fn same<T: PartialEq + Debug>(back: Result<T, CallError>, sent: T) {
    match back {
        Ok(back) => assert_eq!(back, sent),
        Err(error) => panic!("{sent:?}: {error}"),
    }
}

async fn enums_of_every_tagging(shapes: ShapesTester) {
    for value in External::all() {
        same(shapes.external(value.clone()).await, value);
    }
    for value in Internal::all() {
        same(shapes.internal(value.clone()).await, value.clone());
        same(shapes.internal_body(value.clone()).await, value);
    }
    for value in Adjacent::all() {
        same(shapes.adjacent(value.clone()).await, value);
    }
    for value in Untagged::all() {
        same(shapes.untagged(value.clone()).await, value);
    }
}

async fn generics_and_options(shapes: ShapesTester) {
    let page = Page { items: vec![Color::Red, Color::Green], next: Some(Color::Red) };
    let inner = Page { items: vec![Some(0), None, Some(255)], next: Some(None) };
    // `Some(None)` is null, and null is `None`: the one thing that cannot come back.
    let inner_back = Page { next: None, ..inner.clone() };
    let pages = Page { items: vec![inner], next: None };
    let pages_back = Page { items: vec![inner_back], next: None };
    same(shapes.generic(page.clone(), pages).await, (page, pages_back));
    let page = Page { items: External::all(), next: None };
    same(shapes.generic_body(page.clone()).await, page);

    same(shapes.option(Some(7)).await, Some(7));
    same(shapes.option(None).await, None);
    for value in Optional::all() {
        same(shapes.options(value.clone()).await, value);
    }
}

async fn maps_with_keys_that_are_no_text(shapes: ShapesTester) {
    for maps in [Maps::default(), Maps::full()] {
        same(shapes.maps(maps.clone()).await, maps);
    }
    let map = BTreeMap::from([(0, Color::Green), (u16::MAX, Color::Red)]);
    same(shapes.map_body(map.clone()).await, map);
    let map: HashMap<i64, String> = (-100..100).map(|key| (key << 40, key.to_string())).collect();
    same(shapes.hash_map(map.clone()).await, map);
}

async fn newtypes_tuples_and_units(shapes: ShapesTester) {
    let (meters, pair) = (Meters(40_075_017), Pair(-33, Some("x".repeat(31))));
    same(shapes.newtypes(meters, pair.clone(), Unit).await, (meters, pair.clone(), Unit));
    same(shapes.newtype(meters).await, meters);
    same(shapes.pair(pair.clone()).await, pair);
    same(shapes.pair(Pair(0, None)).await, Pair(0, None));
    same(shapes.unit_struct(Unit).await, Unit);
    same(shapes.unit(()).await, ());
    let tuple = (128, ("é".repeat(16), [i16::MIN, 0, i16::MAX]));
    same(shapes.tuples(tuple.clone(), (true,)).await, (tuple, (true,)));
}

async fn values_in_values(shapes: ShapesTester) {
    let matrix = vec![vec![vec![], vec![0.1, -1.0, f32::MAX]], vec![], vec![vec![0.0; 40]; 40]];
    let grid = [[0, 255], [1, 2], [3, 4]];
    same(shapes.nested(matrix.clone(), grid).await, (matrix, grid));
    // Each level is an object and an array, and the body itself is the first.
    let tree = (0..60).fold(Tree::default(), |tree, _| Tree { children: vec![tree, Tree::default()] });
    same(shapes.tree(tree.clone()).await, tree);
    let flat = Flat { at: 1_700_000_000_123, rest: [("more".into(), Untagged::Text("of it".into()))].into() };
    same(shapes.flat(flat.clone()).await, flat);
}

async fn bytes_text_and_characters(shapes: ShapesTester) {
    for len in [0, 1, 255, 256, 10_000] {
        let blob = Blob((0..len).map(|n| n as u8).collect());
        same(shapes.bytes(blob.clone()).await, blob);
    }
    let chars =
        vec!['\0', '"', '\\', '\n', '\u{7f}', 'ß', '\u{2028}', '\u{fffd}', '\u{ffff}', '🦀', char::MAX];
    same(shapes.chars(chars.clone(), '\u{d7ff}').await, (chars.clone(), '\u{d7ff}'));
    for text in [String::new(), chars.iter().collect(), "🦀".repeat(70)] {
        same(shapes.text(&text).await, text);
    }
    let bools: Vec<bool> = (0..40).map(|n| n % 3 == 0).collect();
    same(shapes.bools(bools.clone()).await, bools);
}

async fn numbers_up_to_their_limits(shapes: ShapesTester) {
    let least = (i8::MIN, i16::MIN, i32::MIN);
    let most = (i8::MAX, i16::MAX, i32::MAX, u8::MAX, u16::MAX, u32::MAX);
    same(shapes.small(least, most).await, (least, most));
    for number in [0, 127, 128, u64::from(u32::MAX), 1 << 32, 1_700_000_000_123, SAFE_MAX] {
        same(shapes.unsigned(number).await, number);
        let negative = -(number as i64);
        same(shapes.signed(negative).await, negative);
        let wide = (i128::from(negative), u128::from(number));
        same(shapes.wide(wide.0, wide.1).await, wide);
    }
    let big = (BigInt(u64::MAX), BigInt(i64::MIN));
    same(shapes.big(big.0, big.1).await, big);
    for bigger in [(BigInt(u128::MAX), BigInt(i128::MIN)), (BigInt(0), BigInt(i128::MAX))] {
        same(shapes.bigger(bigger.0, bigger.1).await, bigger);
    }
    let floats = vec![0.1, -0.5, 1e300, 5e-324, 4_294_967_296.0, f64::MIN, f64::MAX, f64::EPSILON, 42.0];
    let single = vec![0.1, f32::MIN, f32::MAX, f32::MIN_POSITIVE, 16_777_217.0];
    same(shapes.floats(floats.clone(), single.clone()).await, (floats, single));
}

async fn numbers_beyond_what_a_client_could_hold(shapes: ShapesTester) {
    let refused = "beyond ±9007199254740991";
    for error in [
        shapes.unsigned(SAFE_MAX + 1).await.unwrap_err(),
        shapes.signed(i64::MIN).await.unwrap_err(),
        shapes.wide(i128::MIN, 0).await.unwrap_err(),
        shapes.wide(0, u128::MAX).await.unwrap_err(),
    ] {
        assert!(matches!(error, CallError::Encode(_)) && error.to_string().contains(refused), "{error}");
    }
    same(shapes.one_more(SAFE_MAX - 1).await, SAFE_MAX);
    shapes.one_more(SAFE_MAX).await.expect_error("INTERNAL");
    same(shapes.unsigned(1).await, 1);
}

async fn pushes(shapes: ShapesTester) {
    for value in External::all() {
        same(shapes.push(Maps::full(), value.clone()).await, ());
        let pushed = shapes.expect_pushed(|_, _| true).await;
        assert_eq!(pushed, (Maps::full(), value));
        assert_eq!(shapes.expect_pushed_body(|_| true).await, Untagged::Struct { at: SAFE_MAX });
    }
}

/// The client learns nothing but that it failed; whoever runs the server learns why.
#[tokio::test(start_paused = true)]
async fn a_result_that_cannot_be_written_is_reported() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&reports);
    let served = Shapes::serve(Server).reports(move |report| {
        sink.lock().push((report.kind, report.call.map(str::to_owned), report.error.to_string()));
    });
    let host = Host::new(App::new().contract("/shapes", served));
    for format in [Format::Json, Format::MsgPack] {
        let error = tester(&host, format).await.one_more(SAFE_MAX).await.expect_error("INTERNAL");
        assert_eq!(&*error.message, "internal error");
        let kept: Vec<_> = reports.lock().drain(..).collect();
        let [(ReportKind::Output, Some(call), why)] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!(call, "one_more");
        assert!(why.contains("9007199254740992"), "{why}");
    }
    host.close().await;
}
