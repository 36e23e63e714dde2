//! By which functions an interpreter or an engine calls itself.

use rustc_hash::FxHashSet;

use crate::profile::{Frame, FrameKind};

/// The function that executes Python code: whatever file it is in is an interpreter.
const EVALUATOR: &str = "_PyEval_EvalFrameDefault";

/// CPython's functions that call Python functions, or are on the way to them. Those that a Python programmer knows (`sorted`, `map`,
/// `exec`) are none of them.
const NAMES: &[&str] = &[
    "PyEval_EvalCode",
    "PyEval_EvalCodeEx",
    "PyEval_EvalFrame",
    "PyEval_EvalFrameEx",
    "PyEval_CallObjectWithKeywords",
    "PyIter_Send",
    "PyVectorcall_Call",
    "Py_BytesMain",
    "Py_Main",
    "Py_RunMain",
    "call_function",
    "call_method",
    "call_unbound",
    "call_unbound_noarg",
    "do_call_core",
    "fast_function",
    "function_code_fastcall",
    "gen_iternext",
    "gen_send",
    "gen_send_ex",
    "gen_send_ex2",
    "lookup_maybe_method",
    "object_vacall",
    "pyrun_file",
    "pyrun_one_parse_tree",
    "run_eval_code_obj",
    "run_mod",
    "trace_call_function",
    "type_call",
    "vectorcall_maybe",
    "vectorcall_method",
    "vectorcall_unbound",
];

/// Beginnings of names of such.
const PREFIXES: &[&str] = &[
    "PyObject_Call",
    "PyObject_Vectorcall",
    "PyRun_",
    "_PyCFunction_",
    "_PyEval_",
    "_PyFunction_",
    "_PyMethodDef_RawFastCall",
    "_PyMethodDescr_",
    "_PyObject_Call",
    "_PyObject_FastCall",
    "_PyObject_MakeTpCall",
    "_PyObject_Vectorcall",
    "_PyRun_",
    "_PyVectorcall_",
    "cfunction_call",
    "cfunction_vectorcall",
    "method_vectorcall",
    "pymain_",
    "slot_",
];

/// Beginnings of the names of V8's functions that call functions of JavaScript, or are on the way to them: code that is built in, and what
/// enters it.
const ENGINE: &[&str] = &[
    "Builtins_",
    "construct_stub_create_deopt_addr",
    "v8::internal::(anonymous namespace)::Invoke",
    "v8::internal::Execution::",
];

/// The files of a profile that have an interpreter, by name.
pub(super) struct Interpreters(FxHashSet<String>);

impl Interpreters {
    /// Those that frames are in.
    pub(super) fn of(frames: &[&Frame]) -> Self {
        let evaluators = frames
            .iter()
            .filter(|frame| frame.function.as_deref() == Some(EVALUATOR));
        Self(evaluators.map(|frame| frame.module.clone()).collect())
    }

    /// Whether a frame says nothing: one that is `beyond` the innermost frame of the runtime also where it has no name, because an interpreter
    /// without symbols has many of these.
    pub(super) fn is_noise(&self, frame: &Frame, beyond: bool) -> bool {
        let function = frame.function.as_deref();
        if beyond
            && frame.kind == FrameKind::Native
            && function.is_some_and(|function| ENGINE.iter().any(|begin| function.starts_with(begin)))
        {
            return true;
        }
        if frame.kind != FrameKind::Native || !self.0.contains(&frame.module) {
            return false;
        }
        let Some(function) = function else {
            return beyond;
        };
        // What compilers add to a name: `.cold`, `.constprop.0`.
        let name = function.split('.').next().unwrap_or(function);
        NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    }
}
