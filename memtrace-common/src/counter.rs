//! Everything the BPF side counts, by name. Nothing is dropped without one of these.

/// Declares [`Counter`] from one list of name and sentence.
macro_rules! counters {
    ($($variant:ident $name:literal $sentence:literal;)*) => {
        /// One counter; the number is its slot in the `COUNTERS` map.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(u32)]
        pub enum Counter {
            $(#[doc = $sentence] $variant,)*
        }

        impl Counter {
            /// Every counter, in the order of the slots.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// A short name for machines.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it means, for people.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }
        }
    };
}

counters! {
    Hits "hits" "Probe hits of the target, all programs together.";
    MappingHits "mapping_hits" "Those at mapping system calls, which are no traps.";
    FreeHits "free_hits" "Hits of probes on functions that only free, or that may give back what they were given.";
    SteppedHits "stepped_hits" "Hits of probes on instructions that the kernel cannot emulate.";
    OneTrap "one_trap" "Allocations that were seen by one trap instead of two.";
    OneTrapChecked "one_trap_checked" "Calls in which what one trap takes was compared with the arguments and the result.";
    OneTrapWrong "one_trap_wrong" "Those of them that one trap did not see as they were: sums are in doubt.";
    CheckHits "check_hits" "Hits of the probes for that comparison.";
    TimedHits "timed_hits" "Hits whose run time was measured.";
    TimedNs "timed_ns" "Run time in nanoseconds of the hits that were measured.";
    Sent "sent" "Events put into the ring, stacks not included.";
    StacksSent "stacks_sent" "Stacks put into the ring.";
    LostAllocations "lost_allocations" "Allocations that found the ring full.";
    LostBytes "lost_bytes" "Requested bytes of the allocations that found the ring full.";
    LostFrees "lost_frees" "Frees that found the ring full; they are remembered and applied later.";
    ForgottenFrees "forgotten_frees" "Frees that found both the ring and the memory for lost frees full.";
    Paired "paired" "Blocks whose free was met before their allocation was sent; they are in the sums.";
    LostPairs "lost_pairs" "Blocks, allocated and freed, that are missing from the sums because the ring was full.";
    LostPairBytes "lost_pair_bytes" "Requested bytes of these.";
    Drawn "drawn" "Allocations that were drawn for the sample.";
    Unsampled "unsampled" "Allocations that were not drawn for the sample.";
    UnsampledBytes "unsampled_bytes" "Requested bytes of these.";
    UnsampledFrees "unsampled_frees" "Frees of blocks that are not in the sample.";
    LostOther "lost_other" "Records of lifecycle or failed calls that found the ring full.";
    StacksLost "stacks_lost" "Events without a stack because the ring was full.";
    ScratchTaken "scratch_taken" "Events without a stack because another task took the scratch memory over.";
    StacksWhole "stacks_whole" "Events whose stack reaches the start of its thread.";
    StacksDeep "stacks_deep" "Events whose stack is cut at the depth limit.";
    StacksNoTable "stacks_no_table" "Events whose stack ends early in code without a table, where the frame pointer leads nowhere.";
    StacksUnreadable "stacks_unreadable" "Events whose stack ends early because its memory could not be read.";
    StacksUnsupported "stacks_unsupported" "Events whose stack ends early at a rule that cannot be computed.";
    StacksEarly "stacks_early" "Events whose stack was taken before the table of some frame was there.";
    StacksSignal "stacks_signal" "Events whose stack goes through a signal at an instruction that the tables are not sure about: the frames beyond may be wrong.";
    PythonStacks "python_stacks" "Events whose stack has Python frames.";
    PythonNoState "python_no_state" "Events of threads of a Python program that run no Python.";
    PythonDeep "python_deep" "Events of which there are more Python frames than are taken.";
    PythonUnreadable "python_unreadable" "Events whose Python frames end early because the interpreter's memory could not be read.";
    PythonForeign "python_foreign" "Events whose Python frames end early because what should be code of Python is something else.";
    PythonCode "python_code" "Python functions that the collector was told of.";
    PythonCodeLost "python_code_lost" "Events without a stack because the ring had no room for a Python function.";
    JavaScriptStacks "javascript_stacks" "Events whose stack has frames of JavaScript.";
    JavaScriptUnreadable "javascript_unreadable" "Frames of JavaScript without a function because the engine's memory could not be read.";
    JavaScriptForeign "javascript_foreign" "Frames that look like JavaScript and whose function is something else.";
    JavaScriptFunctions "javascript_functions" "Functions of JavaScript that the collector was told of.";
    JavaScriptLost "javascript_lost" "Events without a stack because the ring had no room for a function of JavaScript.";
    JavaScriptCodes "javascript_codes" "Compiled code of functions of JavaScript that the collector was told of.";
    JavaScriptCodesUntold "javascript_codes_untold" "Frames of compiled JavaScript without a line because what V8 keeps of the code could not be read, or is too much.";
    JavaScriptCodesLost "javascript_codes_lost" "Frames of compiled JavaScript without a line because the ring had no room for what V8 keeps of the code.";
    PymallocUnknown "pymalloc_unknown" "Calls of pymalloc that were not followed because where its heap lies was not known, or could not be read.";
    LostJsAllocations "lost_js_allocations" "Records of JavaScript allocation that found the ring full.";
    LostJsBytes "lost_js_bytes" "Bytes of these, which are missing from the sums of JavaScript heaps.";
    LostCollections "lost_collections" "Collections of JavaScript heaps whose record found the ring full.";
    UnreadCollections "unread_collections" "Collections of JavaScript heaps of which V8's own record could not be read.";
    JsAreasUnknown "js_areas_unknown" "Allocation areas of JavaScript that were not found where they end, in which nothing is sampled, or whose space is not known.";
    JsDrawn "js_drawn" "Bytes of allocation areas of JavaScript that were drawn to be watched.";
    JsHitsAfter "js_hits_after" "Hits of watchpoints that were set on a byte of an area which has ended, or hit before.";
    JsHitsCollecting "js_hits_collecting" "Hits of watchpoints by a collection.";
    LostJsSamples "lost_js_samples" "Samples of JavaScript allocation that found the ring full, or areas that found theirs full.";
    JsFollowedFull "js_followed_full" "Young objects of JavaScript that were not followed because their thread has too many.";
    JsFollowedOther "js_followed_other" "Young objects of JavaScript that were not followed on, because a collection has done something else than to copy.";
    JsFollowedUnread "js_followed_unread" "Young objects of JavaScript of which it could not be read what a collection has done with them.";
    LostJsSurvivals "lost_js_survivals" "Young objects of JavaScript whose end, or move to the old ones, found the ring full.";
    LostJsShortages "lost_js_shortages" "Records that V8 has run out of heap, or has come near its limit, that found the ring full.";
    Nested "nested" "Calls inside another call of the allocator; they belong to the outer one.";
    Abandoned "abandoned" "Calls that never returned: the thread jumped out of the allocator.";
    Unpaired "unpaired" "Returns without a known entry, for example of calls begun before attach.";
    Failed "failed" "Allocator calls that returned no memory.";
    BadPointer "bad_pointer" "Results that could not be read from the memory of the target.";
    ThreadsFull "threads_full" "Calls not followed because too many threads are known at once.";
    ProcessesFull "processes_full" "Processes not followed because too many are known at once.";
    SpacesFull "spaces_full" "Changes of code not noted because too many processes are known at once.";
    BadCookie "bad_cookie" "Hits of an attach point whose cookie is not understood.";
}

impl Counter {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();
}
