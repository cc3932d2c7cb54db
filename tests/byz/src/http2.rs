//! As much of HTTP/2 (RFC 9113) as a client needs that never reads: a library would read for it.

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames of a few hundred bytes").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The connection preface and empty SETTINGS.
pub(crate) fn greeting() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat()
}

/// A header field as a literal that nobody indexes (RFC 7541, 6.2.2), without Huffman coding.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).expect("short fields");
        assert!(length < 127, "a length in one byte");
        [&[length], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

/// The `number`th unary gRPC call of a connection, complete.
pub(crate) fn call(path: &str, number: u32, message: &[u8]) -> Vec<u8> {
    let stream = 2 * number + 1;
    let fields = [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "quorate"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ];
    let length = u32::try_from(message.len()).expect("messages of a few hundred bytes").to_be_bytes();
    let body = [&[0], &length[..], message].concat();
    let headers = frame(HEADERS, END_HEADERS, stream, &fields.concat());
    [headers, frame(DATA, END_STREAM, stream, &body)].concat()
}
