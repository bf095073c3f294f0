//! Signals of faults that were sent by somebody, and are none.
//!
//! Rust's runtime handles SIGSEGV and SIGBUS to tell of a stack that has overflowed. What is no such overflow it answers by
//! restoring the default and returning: a fault happens again and ends the process. A signal that was sent by `kill` does not,
//! so the first one would do nothing at all.

use std::{ffi::c_int, mem::MaybeUninit, ptr, sync::OnceLock};

use libc::{c_void, siginfo_t};

/// What stood there before: for SIGSEGV, and for SIGBUS.
static BEFORE: [OnceLock<libc::sigaction>; 2] = [OnceLock::new(), OnceLock::new()];

/// A handler with `SA_SIGINFO`.
type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// From now on a SIGSEGV or SIGBUS that is sent to this process ends it, as the default does. Faults go where they went before.
/// To be called once, before others set handlers of their own.
pub fn end_by_sent_faults() {
    for (signal, before) in [libc::SIGSEGV, libc::SIGBUS].into_iter().zip(&BEFORE) {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: with no new action the call only writes the present one, for which there is room.
        if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0 {
            continue;
        }
        // SAFETY: the call has succeeded, and has written it.
        let mut action = unsafe { action.assume_init() };
        // Without a handler there is nothing to mend.
        if action.sa_flags & libc::SA_SIGINFO == 0 || before.set(action).is_err() {
            continue;
        }
        // Its mask and its flags suit this handler as well, the stack for handlers among them.
        let handler: Handler = on_fault;
        action.sa_sigaction = handler as usize;
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and does what a handler may: see there.
        unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
    }
}

/// Only makes system calls and reads what was set before it could be called, which a handler may (signal-safety(7)).
extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO what it knows of the signal.
    let code = unsafe { (*info).si_code };
    let before = BEFORE[usize::from(signal == libc::SIGBUS)].get();
    match before {
        Some(before) if code > 0 => {
            // SAFETY: it was set with SA_SIGINFO, which was looked at, so it is a handler of this signature.
            let handler = unsafe { std::mem::transmute::<usize, Handler>(before.sa_sigaction) };
            handler(signal, info, context);
        }
        // `SI_USER`, `SI_TKILL`, `SI_QUEUE`: sent by a process.
        _ => {
            // SAFETY: the default has no handler whose demands could be broken.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            // SAFETY: it takes any signal. This one is held back until the handler returns, and then ends the process.
            unsafe { libc::raise(signal) };
        }
    }
}
