#![no_main]
hardtack_fuzz::fuzzer!(bearer);
