//! Arguments that are no fields of a message.

use wirelark::contract;

#[contract]
trait Arguments {
    async fn borrowed(&self, text: &str);
    async fn pattern(&self, (x, y): (f32, f32));
    async fn nameless(&self, _: u32);
    async fn mutable(&self, mut text: String);
    async fn two_bodies(&self, #[body] a: Post, #[body] b: Post);
    async fn body_and_more(&self, #[body] post: Post, loud: bool);
    async fn configured(&self, #[body(whole)] post: Post);
    async fn unchecked(
        &self,
        #[body]
        #[garde(dive)]
        post: Post,
    );
    #[push]
    fn pushed_slice(points: &[f32]);
}

fn main() {}
