#![no_main]
hardtack_fuzz::fuzzer!(store);
