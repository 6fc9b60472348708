// SPDX-License-Identifier: Apache-2.0
//! The policy of a chat, MLS extension 0xF0A1 (e2ee §5).
