/* SPDX-License-Identifier: Apache-2.0
 * limits.h: placeholder. */
#pragma once
