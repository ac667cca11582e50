//! A contract with types of every shape, and a server that returns what it gets.

#![expect(unreachable_pub, reason = "the names of a contract's trait are public, wherever it is")]

use std::collections::{BTreeMap, HashMap};

use wirelark::contract::{BigInt, Session};
use wirelark::{App, contract};

use super::shapes::{
    Adjacent, Blob, Color, External, Flat, Internal, Maps, Meters, Optional, Page, Pair, Tree, Unit, Untagged,
};

/// The largest integer a JavaScript number holds; one more is refused.
pub const SAFE_MAX: u64 = (1 << 53) - 1;

/// Each call returns its arguments.
#[contract]
pub trait Shapes {
    async fn external(&self, value: External) -> External;
    async fn internal(&self, value: Internal) -> Internal;
    async fn adjacent(&self, value: Adjacent) -> Adjacent;
    async fn untagged(&self, value: Untagged) -> Untagged;
    /// Enums as bodies: what is an object may stand alone.
    async fn internal_body(&self, #[body] value: Internal) -> Internal;
    async fn generic(
        &self,
        page: Page<Color>,
        pages: Page<Page<Option<u8>>>,
    ) -> (Page<Color>, Page<Page<Option<u8>>>);
    async fn generic_body(&self, #[body] page: Page<External>) -> Page<External>;
    async fn option(&self, value: Option<u8>) -> Option<u8>;
    async fn options(&self, #[body] value: Optional) -> Optional;
    async fn maps(&self, #[body] maps: Maps) -> Maps;
    async fn map_body(&self, #[body] map: BTreeMap<u16, Color>) -> BTreeMap<u16, Color>;
    async fn hash_map(&self, map: HashMap<i64, String>) -> HashMap<i64, String>;
    async fn newtypes(&self, meters: Meters, pair: Pair, unit: Unit) -> (Meters, Pair, Unit);
    async fn newtype(&self, meters: Meters) -> Meters;
    async fn pair(&self, pair: Pair) -> Pair;
    async fn unit_struct(&self, unit: Unit) -> Unit;
    /// Its argument is there and nothing; its result is not there.
    async fn unit(&self, nothing: ());
    async fn tuples(
        &self,
        tuple: (u8, (String, [i16; 3])),
        one: (bool,),
    ) -> ((u8, (String, [i16; 3])), (bool,));
    async fn nested(
        &self,
        matrix: Vec<Vec<Vec<f32>>>,
        grid: [[u8; 2]; 3],
    ) -> (Vec<Vec<Vec<f32>>>, [[u8; 2]; 3]);
    async fn tree(&self, #[body] tree: Tree) -> Tree;
    async fn flat(&self, #[body] flat: Flat) -> Flat;
    async fn bytes(&self, blob: Blob) -> Blob;
    async fn chars(&self, chars: Vec<char>, one: char) -> (Vec<char>, char);
    async fn text(&self, text: String) -> String;
    async fn bools(&self, bools: Vec<bool>) -> Vec<bool>;
    async fn small(
        &self,
        least: (i8, i16, i32),
        most: (i8, i16, i32, u8, u16, u32),
    ) -> ((i8, i16, i32), (i8, i16, i32, u8, u16, u32));
    async fn unsigned(&self, number: u64) -> u64;
    async fn signed(&self, number: i64) -> i64;
    async fn wide(&self, signed: i128, unsigned: u128) -> (i128, u128);
    async fn big(&self, unsigned: BigInt<u64>, signed: BigInt<i64>) -> (BigInt<u64>, BigInt<i64>);
    async fn bigger(&self, unsigned: BigInt<u128>, signed: BigInt<i128>) -> (BigInt<u128>, BigInt<i128>);
    async fn floats(&self, floats: Vec<f64>, single: Vec<f32>) -> (Vec<f64>, Vec<f32>);
    /// A result that no client could hold.
    async fn one_more(&self, number: u64) -> u64;
    /// Pushes its arguments.
    async fn push(&self, maps: Maps, value: External);
    #[push]
    fn pushed(maps: Maps, value: External);
    #[push]
    fn pushed_body(#[body] value: Untagged);
}

#[derive(Debug)]
pub struct Server;

type Caller = Session<Shapes, ()>;

/// Every call that returns what it gets.
macro_rules! returns_its_arguments {
    ($($call:ident($($argument:ident: $type:ty),*);)*) => {
        impl ShapesServer for Server {
            type Data = ();

            $(
                #[allow(unused_parens, reason = "one argument is no tuple")]
                async fn $call(&self, _: Caller, $($argument: $type),*) -> ($($type),*) {
                    ($($argument),*)
                }
            )*

            async fn unit(&self, _: Caller, (): ()) {}

            async fn one_more(&self, _: Caller, number: u64) -> u64 {
                number + 1
            }

            async fn push(&self, session: Caller, maps: Maps, value: External) {
                session.push(Shapes::pushed(maps, value)).await;
                session.push(Shapes::pushed_body(Untagged::Struct { at: SAFE_MAX })).await;
            }
        }
    };
}

returns_its_arguments! {
    external(value: External);
    internal(value: Internal);
    adjacent(value: Adjacent);
    untagged(value: Untagged);
    internal_body(value: Internal);
    generic(page: Page<Color>, pages: Page<Page<Option<u8>>>);
    generic_body(page: Page<External>);
    option(value: Option<u8>);
    options(value: Optional);
    maps(maps: Maps);
    map_body(map: BTreeMap<u16, Color>);
    hash_map(map: HashMap<i64, String>);
    newtypes(meters: Meters, pair: Pair, unit: Unit);
    newtype(meters: Meters);
    pair(pair: Pair);
    unit_struct(unit: Unit);
    tuples(tuple: (u8, (String, [i16; 3])), one: (bool,));
    nested(matrix: Vec<Vec<Vec<f32>>>, grid: [[u8; 2]; 3]);
    tree(tree: Tree);
    flat(flat: Flat);
    bytes(blob: Blob);
    chars(chars: Vec<char>, one: char);
    text(text: String);
    bools(bools: Vec<bool>);
    small(least: (i8, i16, i32), most: (i8, i16, i32, u8, u16, u32));
    unsigned(number: u64);
    signed(number: i64);
    wide(signed: i128, unsigned: u128);
    big(unsigned: BigInt<u64>, signed: BigInt<i64>);
    bigger(unsigned: BigInt<u128>, signed: BigInt<i128>);
    floats(floats: Vec<f64>, single: Vec<f32>);
}

pub fn app() -> App {
    App::new().contract("/shapes", Shapes::serve(Server))
}
