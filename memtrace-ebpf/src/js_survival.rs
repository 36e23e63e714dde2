//! What becomes of JavaScript's young objects, by a sample of them.
//!
//! When an allocation area ends, it is because an object has no room in it: that object is the first of the next area. So who wants it is known
//! there, and where it is when that area ends in turn.

use core::ffi::c_void;

use aya_ebpf::{bindings::BPF_ANY, helpers::generated::bpf_loop, programs::ProbeContext};
use memtrace_common::{
    Counter,
    event::{JsSurvived, Kind},
    v8_heap::{
        Told,
        space::Numbers,
        survival::{FOLLOWED, Fate, Followed, Following, flags_of, is_left, is_young, moved_to},
    },
};

use crate::{
    emit, enter,
    filter::{self, Task},
    maps::{CONFIG, V8_FOLLOWING},
    stats,
    v8_heap::read,
};

/// What a thread that is new begins with: too large for a program's stack.
static NONE: Following = Following::NONE;

#[inline(always)]
fn of(task: Task) -> Option<&'static mut Following> {
    let following = V8_FOLLOWING.get_ptr_mut(task.key)?;
    // SAFETY: the entry's key is the current thread, only that thread's programs write to it, and they do not nest.
    Some(unsafe { &mut *following })
}

/// How many collections a thread has had. The thread is known from then on.
#[inline(always)]
pub(crate) fn collections(task: Task) -> Result<u64, Counter> {
    if let Some(following) = of(task) {
        return Ok(following.collections);
    }
    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "a copy has no room on a program's stack"
    )]
    let inserted = V8_FOLLOWING.insert(task.key, &NONE, u64::from(BPF_ANY));
    inserted.map(|()| 0).map_err(|_full| Counter::ThreadsFull)
}

/// Follows an object (avma) that was made with this stack, unless there was a collection since.
#[inline(always)]
pub(crate) fn follow(task: Task, address: u64, stack: u64, collections: u64) {
    let Some(following) = of(task) else { return };
    if following.collections != collections {
        return;
    }
    let followed = Followed {
        address,
        stack,
        collections: 0,
    };
    if !following.push(followed) {
        stats::count(Counter::JsFollowedFull);
    }
}

/// What the loop over a thread's objects has.
struct Look {
    following: *mut Following,
    task: Task,
    numbers: Numbers,
    /// How many are followed on.
    kept: u64,
}

/// A collection of another kind has ended: nothing of what is young is where it was.
#[inline(always)]
pub(crate) fn let_go(task: Task) {
    if CONFIG.load().javascript_sites == 0 {
        return;
    }
    let Some(following) = of(task) else { return };
    following.collections = following.collections.wrapping_add(1);
    stats::add(Counter::JsFollowedOther, following.count);
    following.count = 0;
}

/// A scavenge has copied what lives; what it has left can still be read.
#[inline(always)]
pub(crate) fn copied(ctx: &ProbeContext) {
    // It is not attached then either; but all programs are loaded, and the verifier leaves out what cannot be reached: this one's loop takes it as long
    // as two thirds of all others.
    if CONFIG.load().javascript_sites == 0 || CONFIG.load().has_loop == 0 {
        return;
    }
    let Some(task) = filter::current() else { return };
    let Some(following) = of(task) else { return };
    following.collections = following.collections.wrapping_add(1);
    let mut look = Look {
        following: &raw mut *following,
        task,
        numbers: Told::unpack(enter::cookie(ctx)).numbers,
        kept: 0,
    };
    // SAFETY: the callback has the signature that the helper calls it with, and the context outlives the call.
    let _turns = unsafe {
        bpf_loop(
            FOLLOWED as u32,
            turn as *mut c_void,
            (&raw mut look).cast::<c_void>(),
            0,
        )
    };
    following.count = look.kept;
}

/// What a callback returns to go on, and to end.
const GO_ON: i64 = 0;
const END: i64 = 1;

extern "C" fn turn(index: u32, look: *mut Look) -> i64 {
    // SAFETY: the loop's own context, alive during it.
    let look = unsafe { &mut *look };
    // SAFETY: the entry of the map that it was made with: the current thread's, whose programs do not nest.
    let following = unsafe { &mut *look.following };
    if u64::from(index) >= following.count {
        return END;
    }
    // The masks show the verifier where the places are.
    let followed = following.objects[index as usize & (FOLLOWED - 1)];
    match after(followed.address, look.numbers) {
        Some(After::Young(address)) => {
            following.objects[look.kept as usize & (FOLLOWED - 1)] = Followed {
                address,
                collections: followed.collections.wrapping_add(1),
                ..followed
            };
            look.kept = look.kept.wrapping_add(1);
        }
        Some(After::Over(fate)) => tell(look.task, &followed, fate),
        None => stats::count(Counter::JsFollowedUnread),
    }
    GO_ON
}

/// What a collection has done with an object.
enum After {
    /// It is young still, and there (avma).
    Young(u64),
    Over(Fate),
}

/// That of an object which was at this address (avma), or `None` where that cannot be read.
#[inline(always)]
fn after(address: u64, numbers: Numbers) -> Option<After> {
    let (mut flags, mut word) = ([0; 1], [0; 1]);
    if !read(&mut flags, flags_of(address, numbers)) {
        return None;
    }
    let mut place = address;
    if is_left(flags[0]) {
        if !read(&mut word, address) {
            return None;
        }
        let Some(moved) = moved_to(word[0]) else {
            return Some(After::Over(Fate::Died));
        };
        place = moved;
        if !read(&mut flags, flags_of(place, numbers)) {
            return None;
        }
    }
    Some(if is_young(flags[0]) {
        After::Young(place)
    } else {
        After::Over(Fate::Promoted)
    })
}

#[inline(always)]
fn tell(task: Task, followed: &Followed, fate: Fate) {
    let sent = emit::record(JsSurvived {
        header: emit::header(Kind::JsSurvived, None, 0, task),
        stack: followed.stack,
        fate: fate as u32,
        collections: followed.collections as u32,
    });
    if !sent {
        stats::count(Counter::LostJsSurvivals);
    }
}
