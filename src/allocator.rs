//! The allocator of the executable: mimalloc.
//!
//! It differs from the crate's own in one respect. That passes every alignment on, also those that any block has, and mimalloc
//! takes an alignment for a special wish: it is a longer way, and for most sizes it ends with a larger block than was asked for.
#![expect(unsafe_code, reason = "an allocator is made of it")]

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{mi_malloc, mi_realloc, mi_zalloc};
use mimalloc::MiMalloc;

/// Bytes that every block of mimalloc is aligned to, of whatever size.
const NATURAL: usize = align_of::<usize>();

/// Many short-lived allocations on many threads: the case that glibc's allocator is slow at, and keeps memory after.
#[derive(Debug)]
pub(crate) struct Allocator;

// SAFETY: every block is one of mimalloc's, whose functions keep to the contract of malloc(3) and may be called by any thread;
// none of them unwinds.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= NATURAL {
            // SAFETY: any size will do.
            unsafe { mi_malloc(layout.size()) }.cast()
        } else {
            // SAFETY: as the caller has it.
            unsafe { MiMalloc.alloc(layout) }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= NATURAL {
            // SAFETY: any size will do.
            unsafe { mi_zalloc(layout.size()) }.cast()
        } else {
            // SAFETY: as the caller has it.
            unsafe { MiMalloc.alloc_zeroed(layout) }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= NATURAL {
            // SAFETY: the caller has the block from here, and so from mimalloc.
            unsafe { mi_realloc(block.cast(), size) }.cast()
        } else {
            // SAFETY: as the caller has it.
            unsafe { MiMalloc.realloc(block, layout, size) }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller has it. mimalloc knows by the block how it was made.
        unsafe { MiMalloc.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_keep_what_they_hold() {
        for size in [1, 2, 7, 8, 9, 15, 16, 17, 24, 48, 100, 384, 1000, 1024, 1025, 5000, 70_000, 3_000_000] {
            for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the size is not 0.
                let block = unsafe { Allocator.alloc_zeroed(layout) };
                assert_eq!(block.addr() % align, 0, "{layout:?}");
                // SAFETY: so many bytes are there, and no one else has them.
                let bytes = unsafe { std::slice::from_raw_parts_mut(block, size) };
                assert!(bytes.iter().all(|&byte| byte == 0), "{layout:?}");
                bytes.fill(7);
                // SAFETY: the block is of this layout, and the size is not 0.
                let block = unsafe { Allocator.realloc(block, layout, 2 * size) };
                assert_eq!(block.addr() % align, 0, "{layout:?} made larger");
                // SAFETY: the first half of it has been written.
                let bytes = unsafe { std::slice::from_raw_parts(block, size) };
                assert!(bytes.iter().all(|&byte| byte == 7), "{layout:?}");
                let layout = Layout::from_size_align(2 * size, align).unwrap();
                // SAFETY: the block is of this layout now.
                unsafe { Allocator.dealloc(block, layout) };
            }
        }
    }
}
