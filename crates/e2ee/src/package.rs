// SPDX-License-Identifier: Apache-2.0
//! KeyPackages (e2ee §4).
