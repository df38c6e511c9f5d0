//! What the toolchains of C and Go leave to do: the contract's bindings in their language, and a component around the
//! module that they make.

use std::path::Path;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_bindgen_core::wit_parser::{Resolve, WorldId};
use wit_bindgen_core::{Files, WorldGenerator};
use wit_component::{ComponentEncoder, StringEncoding};

use super::{Error, Language, write};

fn world(wit: &Path, world: &str) -> anyhow::Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    Ok((resolve, world))
}

fn failed(e: &anyhow::Error) -> Error {
    Error::Encode(format!("{e:#}"))
}

/// Writes a world's bindings for C or Go into a folder; none of their package files.
pub(super) fn bindings(language: Language, wit: &Path, of: &str, folder: &Path) -> Result<(), Error> {
    let files = generate(language, wit, of).map_err(|e| failed(&e))?;
    files
        .iter()
        .filter(|(name, _)| *name != "go.mod")
        .try_for_each(|(name, contents)| write(&folder.join(name), contents))
}

fn generate(language: Language, wit: &Path, of: &str) -> anyhow::Result<Files> {
    let (mut resolve, world) = world(wit, of)?;
    let mut generator: Box<dyn WorldGenerator> = match language {
        Language::C => wit_bindgen_c::Opts::default().build(),
        Language::Go => wit_bindgen_go::Opts::default().build(),
        other => anyhow::bail!("the toolchain of {} has bindings of its own", other.as_str()),
    };
    let mut files = Files::default();
    generator.generate(&mut resolve, world, &mut files)?;
    Ok(files)
}

/// Makes a module of WASI's first preview a component. What it is to be is said in the module, as C's bindings do, or by
/// the world that is given.
pub(super) fn component(mut module: Vec<u8>, embed: Option<(&Path, &str)>) -> Result<Vec<u8>, Error> {
    let mut encode = || -> anyhow::Result<Vec<u8>> {
        if let Some((wit, of)) = embed {
            let (resolve, world) = world(wit, of)?;
            wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        }
        let encoder = ComponentEncoder::default().module(&module)?.validate(true);
        encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?.encode()
    };
    encode().map_err(|e| failed(&e))
}
