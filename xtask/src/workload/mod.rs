//! Small programs that are traced, and the tracer on them.

mod program;
mod tracer;

pub(crate) use self::{
    program::{Binary, Program},
    tracer::{Tracer, build_release},
};
