/* SPDX-License-Identifier: MPL-2.0 */
#include "vmfile/def.h"

#include <string.h>

const char *const vm_accel_words[] = { "auto", "kvm", "tcg", NULL };
const char *const vm_network_kind_words[] = { "user", "isolated", "tap", "vnic", "none", NULL };
const char *const vm_protocol_words[] = { "tcp", "udp", NULL };
const char *const vm_step_kind_words[] = { "shell", "file", NULL };
const char *const vm_run_policy_words[] = { "once", "always", NULL };

VmForward *
vm_forward_new (guint16 host_port, guint16 guest_port)
{
  VmForward *forward = g_new0 (VmForward, 1);
  forward->host_port = host_port;
  forward->guest_port = guest_port;
  forward->address = g_strdup ("127.0.0.1");
  return forward;
}

VmForward *
vm_forward_copy (const VmForward *forward)
{
  VmForward *copy = g_memdup2 (forward, sizeof *forward);
  copy->address = g_strdup (forward->address);
  return copy;
}

void
vm_forward_free (VmForward *forward)
{
  if (forward == NULL)
    return;
  g_free (forward->address);
  g_free (forward);
}

VmNetwork *
vm_network_new (VmNetworkKind kind)
{
  VmNetwork *network = g_new0 (VmNetwork, 1);
  network->kind = kind;
  network->forwards = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_forward_free);
  return network;
}

VmNetwork *
vm_network_copy (const VmNetwork *network)
{
  VmNetwork *copy = vm_network_new (network->kind);
  copy->link = g_strdup (network->link);
  for (guint i = 0; i < network->forwards->len; i++)
    g_ptr_array_add (copy->forwards, vm_forward_copy (network->forwards->pdata[i]));
  return copy;
}

void
vm_network_free (VmNetwork *network)
{
  if (network == NULL)
    return;
  g_free (network->link);
  g_ptr_array_unref (network->forwards);
  g_free (network);
}

VmStep *
vm_step_new (VmStepKind kind)
{
  VmStep *step = g_new0 (VmStep, 1);
  step->kind = kind;
  return step;
}

VmStep *
vm_step_copy (const VmStep *step)
{
  VmStep *copy = g_memdup2 (step, sizeof *step);
  copy->inline_text = g_strdup (step->inline_text);
  copy->script = g_strdup (step->script);
  copy->source = g_strdup (step->source);
  copy->destination = g_strdup (step->destination);
  return copy;
}

void
vm_step_free (VmStep *step)
{
  if (step == NULL)
    return;
  g_free (step->inline_text);
  g_free (step->script);
  g_free (step->source);
  g_free (step->destination);
  g_free (step);
}

static gpointer
copy_network (gconstpointer network, gpointer unused)
{
  return vm_network_copy (network);
}

static gpointer
copy_step (gconstpointer step, gpointer unused)
{
  return vm_step_copy (step);
}

static gpointer
copy_string (gconstpointer text, gpointer unused)
{
  return g_strdup (text);
}

VmDef *
vm_def_new (const char *name)
{
  VmDef *def = g_new0 (VmDef, 1);
  def->name = g_strdup (name);
  def->networks = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_network_free);
  def->depends_on = g_ptr_array_new_with_free_func (g_free);
  def->steps = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_step_free);
  return def;
}

VmDef *
vm_def_copy (const VmDef *def)
{
  VmDef *copy = g_memdup2 (def, sizeof *def);
  char **texts[] = { &copy->name,     &copy->backend,        &copy->image,      &copy->image_url,
                     &copy->checksum, &copy->hostname,       &copy->ssh_key,    &copy->user_data,
                     &copy->ssh_user, &copy->network_config, &copy->private_key };
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    *texts[i] = g_strdup (*texts[i]);
  copy->networks = g_ptr_array_copy (def->networks, copy_network, NULL);
  copy->depends_on = g_ptr_array_copy (def->depends_on, copy_string, NULL);
  copy->steps = g_ptr_array_copy (def->steps, copy_step, NULL);
  return copy;
}

void
vm_def_free (VmDef *def)
{
  if (def == NULL)
    return;
  g_free (def->name);
  g_free (def->backend);
  g_free (def->image);
  g_free (def->image_url);
  g_free (def->checksum);
  g_ptr_array_unref (def->networks);
  g_free (def->hostname);
  g_free (def->ssh_key);
  g_free (def->user_data);
  g_free (def->network_config);
  g_free (def->ssh_user);
  g_free (def->private_key);
  g_ptr_array_unref (def->depends_on);
  g_ptr_array_unref (def->steps);
  g_free (def);
}

int
vm_word_index (const char *const *words, const char *word)
{
  for (int i = 0; words[i] != NULL; i++)
    if (strcmp (words[i], word) == 0)
      return i;
  return -1;
}

const char *
vm_accel_to_string (VmAccel accel)
{
  return vm_accel_words[accel];
}

int
vm_accel_from_string (const char *word)
{
  return vm_word_index (vm_accel_words, word);
}

const char *
vm_network_kind_to_string (VmNetworkKind kind)
{
  return vm_network_kind_words[kind];
}

int
vm_network_kind_from_string (const char *word)
{
  return vm_word_index (vm_network_kind_words, word);
}
