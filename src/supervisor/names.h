/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* names: tells trace how roles are called, and by which clock their events are stamped. */

void set_trace_names(void);
