//! The screen of `memtrace top`.
//!
//! [`State`] is what is shown and what can be chosen, and changes by [`Input`] alone; [`view`] draws it. Both touch nothing outside: no
//! terminal, no clock, no file. [`Screen`] is the thread that has the terminal: it hands keys and profiles to the state, and what
//! the state wants done (a [`Request`]) to whoever opened the screen.

mod input;
mod inputs;
mod player;
mod screen;
mod state;
mod table;
mod terminal;
mod view;

pub use self::{
    input::{Input, Key, Request},
    inputs::Inputs,
    player::Player,
    screen::Screen,
    state::State,
    terminal::{check, is_shown},
    view::{palette::Palette, view},
};
