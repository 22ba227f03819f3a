"""What a person does about a player."""

from models.players.erase import erase_player

__all__ = ["erase_player"]
