/* SPDX-License-Identifier: Apache-2.0
 * commands.h: one function a command; each opens what it needs, and returns the exit code. What
 * went wrong was told on stderr. */
#pragma once

#include "apps/parley/app.h"

enum app_exit command_register(struct app *app); /* and login */
enum app_exit command_devices(struct app *app);
enum app_exit command_invite(struct app *app);
enum app_exit command_password(struct app *app);
enum app_exit command_send(struct app *app);
enum app_exit command_receive(struct app *app);
enum app_exit command_chats(struct app *app);
enum app_exit command_history(struct app *app);
enum app_exit command_read(struct app *app);
enum app_exit command_chat(struct app *app);
enum app_exit command_version(struct app *app);
