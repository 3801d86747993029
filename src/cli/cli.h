/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cli: the command line. commands.def and options.def are its one truth: parsing, help, the manual
 * page and the completions of three shells are made from them.
 *
 * Exit statuses are those of sysexits.h: 0; 1 when the server refused or failed; 64 for a command line
 * that makes no sense; 69 when the server is not running; 78 for a configuration with mistakes.
 */

/* The whole program: what main is called with; gives the exit status. */
int cli_main(int argc, char **argv);
