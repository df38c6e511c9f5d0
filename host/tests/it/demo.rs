//! The demo, from the outside.

use std::process::Command;

use crate::harness::tests;

tests! {
    once {
        the_demo_ignores_the_environment
    }
}

/// The demo touches its own folder and nothing that the environment names.
async fn the_demo_ignores_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (data, foreign) = (folder.path().join("data"), folder.path().join("foreign.db"));
    let hostile = [
        ("ECOMM__DATABASE__URL", format!("sqlite:{}", foreign.display())),
        ("ECOMM__MAIL__RELAYS", "[{ name = \"real\", host = \"127.0.0.1\", port = 1, tls = \"none\" }]".to_owned()),
        ("ECOMM__SHOP__NAME", "Another Shop".to_owned()),
        ("ECOMM__HTTP__LISTEN", "nonsense".to_owned()),
        ("ECOMM__NO__SUCH__KEY", "1".to_owned()),
        ("ECOMM_CONFIG", "/nonexistent.toml".to_owned()),
    ];
    let mut demo = Command::new(env!("CARGO_BIN_EXE_ecomm"));
    demo.args(["demo", "--exit", "--data"]).arg(&data).envs(hostile);
    let output = tokio::task::spawn_blocking(move || demo.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(!foreign.exists(), "{said}");
    assert!(data.join("ecomm.db").exists(), "{said}");
    assert!(said.contains("The Demo Shop") && !said.contains("Another Shop"), "{said}");
    assert!(!complained.contains('\u{1b}'), "colour codes without a terminal: {complained}");
}
