//! `ecomm`: an e-commerce backend whose customer notifications are programmable and cannot be lost.
//!
//! One host runs a REST API, a gRPC API and a queue worker. An order's change and its notification are one
//! transaction; the worker delivers the notification as an e-mail. What the mail says and whether to send, retry or
//! give up are decided by WebAssembly components that operators swap while the host runs.
//!
//! ```text
//!  http ─┐                                   ┌─ policy component   (send? retry? give up?)
//!        ├─ service ── store ── queue ── deliver ─ renderer component (subject, text, html)
//!  grpc ─┘      one transaction:  claim          └─ mail (SMTP relay)
//!               order + event     lease, fence
//! ```
//!
//! # Invariants, held by `tests/it/tidy.rs`
//! 1. `http`, `grpc`, `console` and `pages` import `service` and nouns only: never `store`, `sqlx`, `plugin`.
//! 2. SQL only under `store`; `wasmtime` only under `plugin`; `lettre` only under `mail`; `pb` only under `grpc`;
//!    `axum` only under `http`, `console`, `pages` and `kit/dev`.
//! 3. `deliver` knows no SQL and no loop; `queue` knows no plugin and no mail.
//! 4. Time and randomness come from the [`clock::Clock`]. Store verbs add its offset to the database's time.
//! 5. The three migration folders hold the same file names.
//! 6. Everything has a limit, named `…_max` with its unit.

// The nouns: known by all, know nobody.
pub mod clock;
pub mod endpoint;
pub mod hex;
pub mod lease;
pub mod link;
mod mac;
pub mod money;
pub mod notification;
pub mod provider;
pub mod proxy;
pub mod quota;
pub mod return_path;
pub mod shop;
pub mod suppression;

// From the APIs to the database.
pub mod console;
pub mod group;
pub mod grpc;
pub mod http;
pub mod inbound;
pub mod pages;
pub mod service;
pub mod store;

// From the database to the mail.
pub mod deliver;
pub mod mail;
pub mod outbound;
pub mod plugin;
pub mod queue;
pub mod share;
pub mod webhook;

// For authors of components.
pub mod kit;

// Around it.
mod accept;
mod alive;
pub mod cause;
pub mod certificate;
pub mod config;
pub mod doctor;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod host;
pub mod metrics;
pub mod telemetry;
pub mod trace;
