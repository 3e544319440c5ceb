// Answering a request to join: with which roles the person comes in.
import { Button, Group, Modal, MultiSelect, Stack, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import * as access from "../api/access";
import { useMay } from "../app/session";
import { ProblemAlert } from "../components/Problem";

interface Props {
  group: string;
  request: access.JoinRequest;
  onClose: () => void;
}

export function TakeIn({ group, request, onClose }: Props) {
  const queries = useQueryClient();
  const may = useMay(group);
  const [roles, setRoles] = useState<string[]>(["readOnly"]);
  const answer = useMutation({
    mutationFn: () => access.answerJoinRequest(group, request.id, roles as access.Role[]),
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["group", group] });
      onClose();
    },
  });
  return (
    <Modal
      opened
      onClose={onClose}
      title={`Take ${request.user.name} into ${group}`}
      centered
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <Stack>
        <Text size="sm">
          {request.user.email} sees the group at once, with these roles. They can be changed, and taken away, later.
        </Text>
        <MultiSelect label="Roles" data={may.grants} value={roles} onChange={setRoles} data-autofocus />
        <ProblemAlert error={answer.error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Decide later
          </Button>
          <Button loading={answer.isPending} disabled={roles.length === 0} onClick={() => answer.mutate()}>
            Take in
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
