//! The demo and what describes the command line, from the outside.

use std::process::Command;

use crate::harness::tests;

tests! {
    once {
        the_demo_ignores_the_environment
        shells_and_man_know_the_commands
    }
}

async fn shells_and_man_know_the_commands() {
    let ecomm = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ecomm")).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = ecomm(&["completions", shell]);
        assert!(script.contains("rollback") && script.contains("ended-within"), "{shell}: {script}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    ecomm(&["man", &pages.display().to_string()]);
    let page = std::fs::read_to_string(pages.join("ecomm-notification-bulk-retry.1")).unwrap();
    assert!(page.contains(".TH ecomm") && page.contains("\\-\\-ended\\-within"), "{page}");
    // What is no command of people's has no page.
    let names = std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.collect();
    assert!(names.len() > 30 && !names.iter().any(|name| name.contains("compile-component")), "{names:?}");
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
