#![no_main]
hardtack_fuzz::fuzzer!(policy);
