//! wasm-bindgen's own test runner, of the release that Cargo.lock has: Cargo runs WebAssembly tests with it.

fn main() -> anyhow::Result<()> {
    wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::env::args_os())
}
