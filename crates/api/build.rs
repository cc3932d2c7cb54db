//! Compiles the API's description; needs no protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let files = protox::compile(["quorate/v1/ledger.proto"], [root])?;
    tonic_prost_build::configure().build_transport(true).compile_fds(files)?;
    Ok(())
}
