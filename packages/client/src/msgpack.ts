// `@wirelark/client/msgpack`: frames as MessagePack, which is smaller than JSON and knows bytes.

import { Decoder, Encoder, ExtensionCodec } from "@msgpack/msgpack";
import type { Format } from "./format.js";

/** The server's `undefined`, an extension of type 0: the answer of a call that returns nothing. */
const UNDEFINED = 0;

const extensions = new ExtensionCodec();
extensions.register({ type: UNDEFINED, encode: () => null, decode: () => undefined });

/** As deep as a server of ours reads: the frame around a body is one level more. */
const DEPTH_MAX = 128;

const encoder = new Encoder({ maxDepth: DEPTH_MAX, ignoreUndefined: true });
const decoder = new Decoder({ extensionCodec: extensions });

/** Frames as MessagePack. */
export const msgpack: Format = {
  subprotocol: "wirelark.v1.msgpack",
  encode: (frame) => encoder.encode(frame),
  decode(data) {
    if (data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return decoder.decode(data);
    throw new Error("socka: expected ArrayBuffer msgpack frame");
  },
};
