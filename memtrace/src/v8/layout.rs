//! How the structures of an engine lie, as it says itself; what it does not say, by its version.

use memtrace_common::javascript::{EngineLayout, FIRST_NONSTRING, SCRIPT_WORDS, SHARED_WORDS};

use super::{
    code,
    engine::{Engine, Version},
};

/// What an engine does not say of itself (src/objects/bytecode-array.tq, scope-info.tq, shared-function-info.tq, debug-objects.tq).
struct Silent {
    /// `BytecodeArray.source_position_table`
    bytecode_table: u32,
    /// The begin of a function in its `ScopeInfo`, 0 where that is behind the names, and the names.
    scope_start: u32,
    scope_names: u32,
    /// `MODULE_SCOPE`
    scope_module: u32,
    /// `SharedFunctionInfo.function_data`, which is the number of a function that is built in.
    shared_builtin: u32,
    /// `DebugInfo.script`, where a `DebugInfo` may stand in for the script.
    debug_script: Option<u32>,
    /// Types of functions, where only the first is told.
    functions: u32,
}

const fn silent(version: Version) -> Silent {
    let oldest = Silent {
        bytecode_table: 32,
        scope_start: 0,
        scope_names: 32,
        scope_module: 3,
        shared_builtin: 8,
        debug_script: Some(24),
        functions: 17,
    };
    match version.major {
        0..=11 => oldest,
        12 => Silent {
            bytecode_table: 24,
            debug_script: None,
            ..oldest
        },
        _ => Silent {
            bytecode_table: 24,
            scope_start: 32,
            scope_names: 48,
            shared_builtin: 16,
            debug_script: None,
            ..oldest
        },
    }
}

/// Bytes of a structure at most: an offset beyond is not believed.
const MAX_OFFSET: u32 = 120;
const _: () = assert!(SHARED_WORDS == 16 && SCRIPT_WORDS == 16);

/// How its structures lie.
///
/// # Errors
/// What it does not say, or says in a way that is not understood.
pub fn layout(engine: &Engine) -> Result<EngineLayout, String> {
    let silent = silent(engine.version);
    let number = |name: &str| engine.constant(name).and_then(|value| u32::try_from(value).ok());
    let one_of = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| number(name))
            .ok_or_else(|| format!("it does not say what v8dbg_{} is", names[0]))
    };
    let offset = |names: &[&str]| match one_of(names)? {
        offset if offset < MAX_OFFSET => Ok(offset),
        offset => Err(format!("it says that v8dbg_{} is {offset}", names[0])),
    };
    let fixed = |name: &str, expected: i32| match engine.constant(name) {
        Some(value) if value == expected => Ok(()),
        Some(value) => Err(format!("it says that v8dbg_{name} is {value} and not {expected}")),
        None => Err(format!("it does not say what v8dbg_{name} is")),
    };
    for (name, expected) in FIXED {
        fixed(name, expected)?;
    }
    let first_function = one_of(&["FirstJSFunctionType", "type_JSFunction__JS_FUNCTION_TYPE"])?;
    let last_function = number("LastJSFunctionType").unwrap_or(first_function + silent.functions - 1);
    let shared_literal = offset(&["class_SharedFunctionInfo__flags__int"])? + 4;
    let line_ends = offset(&["class_Script__line_ends__Object"])?;
    let script_outer = offset(&[
        "class_Script__eval_from_shared_or_wrapped_arguments__Object",
        "class_Script__eval_from_shared_or_wrapped_arguments__Tagged_Object_",
        "class_Script__eval_from_shared_or_wrapped_arguments_or_sfi_table__Object",
    ])?;
    let debug_type = match silent.debug_script {
        Some(_) => one_of(&["type_DebugInfo__DEBUG_INFO_TYPE"])?,
        None => 0,
    };
    Ok(EngineLayout {
        first_function,
        last_function,
        shared_type: one_of(&["type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE"])?,
        script_type: one_of(&["type_Script__SCRIPT_TYPE"])?,
        scope_type: one_of(&["type_ScopeInfo__SCOPE_INFO_TYPE"])?,
        bytecode_type: one_of(&["type_BytecodeArray__BYTECODE_ARRAY_TYPE"])?,
        debug_type,
        debug_script: silent.debug_script.unwrap_or(0),
        function_shared: offset(&["class_JSFunction__shared__SharedFunctionInfo"])?,
        shared_bytes: shared_literal + 4,
        shared_name: offset(&[
            "class_SharedFunctionInfo__name_or_scope_info__Object",
            "class_SharedFunctionInfo__name_or_scope_info__Tagged_Object_",
            "class_SharedFunctionInfo__name_or_scope_info__Tagged_NameOrScopeInfoT_",
        ])?,
        shared_script: offset(&[
            "class_SharedFunctionInfo__script_or_debug_info__HeapObject",
            "class_SharedFunctionInfo__script__Tagged_HeapObject_",
        ])?,
        shared_literal,
        shared_builtin: silent.shared_builtin,
        script_bytes: script_outer.max(line_ends + 8) + 8,
        script_source: offset(&["class_Script__source__Object"])?,
        script_name: offset(&["class_Script__name__Object"])?,
        // The number follows the ends of the lines (src/objects/script.tq).
        script_id: line_ends + 8,
        script_outer,
        scope_start: silent.scope_start,
        scope_names: silent.scope_names,
        scope_module: silent.scope_module,
        bytecode_table: silent.bytecode_table,
        bytecode_begin: one_of(&["class_BytecodeArray__data__uintptr_t"])?,
        code: code::layout(engine),
    })
}

/// What the BPF side takes for granted.
const FIXED: [(&str, i32); 9] = [
    ("off_fp_context", -8),
    ("off_fp_function", -16),
    ("off_fp_bytecode_array", -32),
    ("off_fp_bytecode_offset", -40),
    ("SmiValueShift", 1),
    ("SmiShiftSize", 31),
    ("class_Map__instance_type__uint16_t", 12),
    ("class_String__length__int32_t", 12),
    ("FirstNonstringType", FIRST_NONSTRING.cast_signed()),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v8::engine::{
        Found, find,
        tests::{engine_of, engines},
    };

    #[test]
    fn engines_of_this_machine_say_how_their_structures_lie() {
        let mut seen = 0;
        for (path, _) in engines() {
            let Found::Engine(engine) = find(&std::fs::File::open(&path).unwrap()) else {
                continue;
            };
            let layout = layout(&engine).unwrap();
            assert!(layout.last_function - layout.first_function == 16, "{}", path.display());
            assert!(layout.shared_script < layout.shared_literal, "{}", path.display());
            seen += 1;
        }
        if seen == 0 {
            eprintln!("skipped: this machine has no node");
        }
    }

    #[test]
    fn what_an_engine_does_not_say_is_named() {
        let version = |major| Version {
            major,
            minor: 2,
            build: 1,
        };
        let error = layout(&engine_of(version(10), &[])).unwrap_err();
        assert!(error.contains("v8dbg_off_fp_context"), "{error}");
        let error = layout(&engine_of(version(10), &[("off_fp_context", -4)])).unwrap_err();
        assert!(error.contains("is -4 and not -8"), "{error}");
        let mut constants = FIXED.to_vec();
        constants.push(("FirstJSFunctionType", 1000));
        constants.push(("class_SharedFunctionInfo__flags__int", 4096));
        let error = layout(&engine_of(version(13), &constants)).unwrap_err();
        assert!(error.contains("is 4096"), "{error}");
    }
}
