//! Build: how is an addon of Node's linked?

fn main() {
    napi_build::setup();
}
