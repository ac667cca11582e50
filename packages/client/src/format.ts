// How frames are written. JSON is here, MessagePack is an entry of its own.

/** What travels in one message. */
export type Data = string | Uint8Array<ArrayBuffer>;

/** A way to write frames. */
export interface Format {
  /** What a client offers to ask for it. */
  readonly subprotocol: string;
  /** Writes a frame; throws if that is not possible. */
  readonly encode: (frame: object) => Data;
  /** Reads what arrived, a string or an `ArrayBuffer`; throws what a report should say if it is no frame. */
  readonly decode: (data: unknown) => unknown;
}

/** Frames as JSON, by functions of your own if you give some. */
export function json(
  own: {
    readonly serialize?: (frame: object) => string;
    readonly deserialize?: (text: string) => unknown;
  } = {},
): Format {
  const { serialize = JSON.stringify, deserialize = JSON.parse } = own;
  return {
    subprotocol: "wirelark.v1.json",
    encode: (frame) => serialize(frame),
    decode(data) {
      if (typeof data !== "string") throw new Error("socka: expected JSON text frame");
      try {
        return deserialize(data);
      } catch (cause) {
        throw new Error("socka: invalid JSON", { cause });
      }
    },
  };
}
