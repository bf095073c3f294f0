//! How much, how many and how long: limits and timeouts.

use std::{
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
};

use super::{MOST, noting::Check, paths, values::in_memory};
use crate::{Limits, Timeouts, error::Reason, raw::Written, units};

/// Room for a request line and a few fields.
const LEAST_HEAD: (u64, &str) = (1024, "1KiB");
/// A target longer than this is none to the libraries below.
const LONGEST_LINE: (u64, &str) = (60 * 1024, "60KiB");
/// Room for method, version and a short target.
const LEAST_LINE: (u64, &str) = (64, "64 bytes");
const MOST_FIELDS: u64 = 10_000;
const MOST_STREAMS: u64 = 10_000;

/// One block of a response must fit.
const LEAST_RESPONSE_BUFFER: (u64, &str) = (4096, "4KiB");

/// The raw values of the limits, but for those of listeners, which have been checked.
pub(super) struct RawLimits {
    pub(super) backlog: u32,
    pub(super) max_connections: u64,
    pub(super) queue_size: Written,
    pub(super) max_body_size: Written,
    pub(super) max_head_size: Written,
    pub(super) max_request_line_size: Written,
    pub(super) max_header_fields: Written,
    pub(super) http2: Written,
    pub(super) http2_max_streams: Written,
    pub(super) body_buffer_size: Written,
    pub(super) response_buffer_size: Written,
    pub(super) max_response_spill: Written,
    pub(super) temp_dir: Option<Written>,
}

/// The raw values of the timeouts.
pub(super) struct RawTimeouts {
    pub(super) header_timeout: Written,
    pub(super) body_timeout: Written,
    pub(super) send_timeout: Written,
    pub(super) idle_timeout: Written,
    pub(super) request_timeout: Written,
    pub(super) kill_timeout: Written,
    pub(super) slow_request_threshold: Written,
    pub(super) interrupt_on_disconnect: Written,
    pub(super) drain_delay: Written,
    pub(super) grace_period: Written,
}

impl Check<'_> {
    pub(super) fn limits(&mut self, raw: RawLimits) -> Limits {
        let RawLimits {
            backlog,
            max_connections,
            queue_size,
            max_body_size,
            max_head_size,
            max_request_line_size,
            max_header_fields,
            http2,
            http2_max_streams,
            body_buffer_size,
            response_buffer_size,
            max_response_spill,
            temp_dir,
        } = raw;
        Limits {
            backlog,
            queue_size: in_memory(self.count("queue_size", &queue_size, 0, MOST)),
            max_body_size: self.size("max_body_size", &max_body_size, (1, "1 byte")),
            max_head_size: NonZeroUsize::new(in_memory(self.size("max_head_size", &max_head_size, LEAST_HEAD)))
                .unwrap_or(NonZeroUsize::MIN),
            max_request_line_size: self.request_line(&max_request_line_size),
            max_header_fields: self.non_zero_count("max_header_fields", &max_header_fields, MOST_FIELDS),
            http2: self.switch("http2", &http2),
            http2_max_streams: NonZeroU32::new(
                u32::try_from(self.count("http2_max_streams", &http2_max_streams, 1, MOST_STREAMS)).unwrap_or(1),
            )
            .unwrap_or(NonZeroU32::MIN),
            body_buffer_size: in_memory(self.size("body_buffer_size", &body_buffer_size, (0, ""))),
            response_buffer_size: in_memory(self.size(
                "response_buffer_size",
                &response_buffer_size,
                LEAST_RESPONSE_BUFFER,
            )),
            max_response_spill: self.size("max_response_spill", &max_response_spill, (0, "")),
            temp_dir: self
                .path("temp_dir", temp_dir, paths::writable_directory)
                .unwrap_or_else(|| self.default_temp_dir()),
            max_connections: NonZeroU64::new(max_connections).unwrap_or(NonZeroU64::MIN),
        }
    }

    pub(super) fn timeouts(&mut self, raw: RawTimeouts) -> Timeouts {
        let RawTimeouts {
            header_timeout,
            body_timeout,
            send_timeout,
            idle_timeout,
            request_timeout,
            kill_timeout,
            slow_request_threshold,
            interrupt_on_disconnect,
            drain_delay,
            grace_period,
        } = raw;
        Timeouts {
            header: self.duration("header_timeout", &header_timeout),
            body: self.duration("body_timeout", &body_timeout),
            send: self.duration("send_timeout", &send_timeout),
            idle: self.duration("idle_timeout", &idle_timeout),
            request: self.limit("request_timeout", &request_timeout),
            kill: self.duration("kill_timeout", &kill_timeout),
            slow_request: self.limit("slow_request_threshold", &slow_request_threshold),
            interrupt_on_disconnect: self.switch("interrupt_on_disconnect", &interrupt_on_disconnect),
            drain_delay: self.duration_or_zero("drain_delay", &drain_delay),
            grace_period: self.duration_or_zero("grace_period", &grace_period),
        }
    }

    fn request_line(&mut self, value: &Written) -> NonZeroUsize {
        let size = self.one("max_request_line_size", value, |_, text| match units::size(text)? {
            size if size < LEAST_LINE.0 => Err(Reason::TooSmall(LEAST_LINE.1)),
            size if size > LONGEST_LINE.0 => Err(Reason::LargerThan(LONGEST_LINE.1)),
            size => Ok(size),
        });
        NonZeroUsize::new(in_memory(size.unwrap_or(LEAST_LINE.0))).unwrap_or(NonZeroUsize::MIN)
    }

    /// The system's own directory, which nobody named but which must be of use all the same.
    fn default_temp_dir(&mut self) -> PathBuf {
        let directory = std::env::temp_dir();
        let key = Self::key("temp_dir");
        if !self.problems.iter().any(|problem| problem.name == key.name) {
            let written = Written(directory.display().to_string());
            if let Err(reason) = paths::writable_directory(directory.clone()) {
                self.report(key, 0, &written, reason);
            }
        }
        directory
    }
}
